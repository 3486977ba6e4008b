"""What a user could take in place of our readers, ready to be timed on the same texts.

Each function returns a callable that takes texts. They need the extra `benchmarks`; the shapes are
B texts, T word pieces, D vector.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp import teacher

Run = Callable[[list[str]], object]
WINDOW = 256  # word pieces that MiniLM reads of a text
_LEARNED_FROM = 20_000  # rows


class _Masked(torch.nn.Module):
    """MiniLM with mean pooling as one graph of two inputs, for export."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        hidden = self.network(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        mask_BT1 = mask_BT.unsqueeze(-1).to(hidden.dtype)
        pooled_BD: torch.Tensor = (hidden * mask_BT1).sum(1) / mask_BT1.sum(1)
        return pooled_BD


def linear(texts: Sequence[str], labels: Sequence[str]) -> Run:
    """Return TF-IDF over words and pairs with logistic regression, fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    pipeline = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=200))
    pipeline.fit(texts[:_LEARNED_FROM], labels[:_LEARNED_FROM])
    predict: Run = pipeline.predict_proba
    return predict


def spacy_textcat(texts: Sequence[str], labels: Sequence[str]) -> Run:
    """Return spaCy's default text categoriser, trained on few rows: its speed counts."""
    import spacy
    from spacy.training import Example

    pipeline = spacy.blank("en")
    categoriser: Any = pipeline.add_pipe("textcat")
    names = sorted(set(labels))
    for name in names:
        categoriser.add_label(name)
    examples = [
        Example.from_dict(
            pipeline.make_doc(text), {"cats": {each: float(each == label) for each in names}}
        )
        for text, label in zip(texts[:256], labels[:256], strict=True)
    ]
    pipeline.initialize(lambda: examples)
    pipeline.update(examples)
    return lambda asked: [document.cats for document in pipeline.pipe(asked, batch_size=256)]


def static_vectors(texts: Sequence[str], labels: Sequence[str], size: int = 256) -> Run:
    """Return one vector a word piece, distilled from MiniLM, with logistic regression.

    As Model2Vec makes them: each word piece alone through the encoder, principal components, and
    a weight that falls with the piece's rank (Zipf).
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    encoder = teacher.SentenceEncoder()
    pieces = encoder.tokenizer.get_vocab_size()
    first, last = encoder.token_ids(["a"])[0][0], encoder.token_ids(["a"])[0][-1]
    encoder.network.eval()
    rows = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, pieces, 1024):
            ids = [[first, piece, last] for piece in range(start, min(start + 1024, pieces))]
            rows.append(encoder.pooled(ids).float().numpy())
    table_PD = PCA(size, random_state=0).fit_transform(np.concatenate(rows))
    table_PD *= np.log1p(np.arange(1, pieces + 1))[:, None]
    table = torch.from_numpy(np.ascontiguousarray(table_PD, dtype=np.float32))

    def vectors(asked: Sequence[str]) -> NDArray[np.float32]:
        ids = [row[1:-1] or [0] for row in encoder.token_ids(asked)]
        offsets = torch.tensor(np.cumsum([0, *(len(row) for row in ids[:-1])]))
        flat = torch.tensor([piece for row in ids for piece in row])
        means = torch.nn.functional.embedding_bag(flat, table, offsets, mode="mean")
        return np.asarray(torch.nn.functional.normalize(means, dim=1).numpy())

    model = LogisticRegression(C=20, max_iter=200)
    model.fit(vectors(texts[:_LEARNED_FROM]), labels[:_LEARNED_FROM])
    return lambda asked: model.predict_proba(vectors(asked))


def minilm(*, half: bool) -> Run:
    """Return MiniLM's vectors of texts under torch, in 32 bits or in bfloat16."""
    encoder = teacher.SentenceEncoder()
    encoder.network.eval()

    def run(texts: list[str]) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            ids = [row[:WINDOW] for row in encoder.token_ids(texts)]
            return [encoder.pooled([ids[i] for i in group]) for group in _groups(ids)]

    return run


def minilm_int8(runtime: str, threads: int) -> Run:
    """Return MiniLM's vectors under ONNX Runtime or OpenVINO, weights and products in 8 bits."""
    encoder = teacher.SentenceEncoder()
    path = _exported(encoder)
    infer = _onnxruntime(path, threads) if runtime == "onnxruntime" else _openvino(path, threads)

    def run(texts: list[str]) -> object:
        ids = [row[:WINDOW] for row in encoder.token_ids(texts)]
        found = []
        for group in _groups(ids):
            ids_BT, mask_BT = teacher.pad([ids[i] for i in group], encoder.padding)
            found.append(infer(ids_BT.numpy(), mask_BT.numpy()))
        return found

    return run


def _groups(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    return teacher.batches([len(row) for row in ids], 8192, 256)


def _exported(encoder: teacher.SentenceEncoder) -> Path:
    """Write MiniLM as ONNX with 8-bit weights and products; return the file."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder = Path(tempfile.mkdtemp(prefix="minilm-"))
    encoder.network.eval()
    ids_BT, mask_BT = teacher.pad(encoder.token_ids(["a short text", "another one"]), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Masked(encoder.network),
            (ids_BT, mask_BT),
            str(folder / "float.onnx"),
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_axes={name: {0: "texts", 1: "pieces"} for name in ("ids", "mask")},
            opset_version=17,
            dynamo=False,
        )
    quantize_dynamic(folder / "float.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    return folder / "int8.onnx"


def _onnxruntime(path: Path, threads: int) -> Callable[[Any, Any], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(None, {"ids": ids, "mask": mask})


def _openvino(path: Path, threads: int) -> Callable[[Any, Any], object]:
    import openvino

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "THROUGHPUT"}
    )
    return lambda ids, mask: compiled([ids, mask])
