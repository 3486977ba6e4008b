"""How much of the machine's matrix-product rate a reader uses, and which share of it is products.

    python -m benchmarks.matrix_share [--kind review] [--words 200] [--rows 512] [--threads 1]

Multiplications and additions are counted in torch's matrix products, convolutions and LSTMs (by
formula where torch's counter passes over a fused one); the machine's rate is measured in the same
run with square products of 32-bit floats. The rest of a reader's time is words, evidence, and
what is done step by step.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.through_queue import texts
from nlp.outcome import Item
from nlp.reader import load_reader

SIDE = 1024
SECONDS = 2.0


def machine_rate(side: int = SIDE) -> float:
    """Return operations a second of a large matrix product, the best of several."""
    left, right = torch.randn(side, side), torch.randn(side, side)
    best, until = float("inf"), time.monotonic() + SECONDS
    while time.monotonic() < until:
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def counts_lstm() -> bool:
    """Return whether torch's counter sees the products inside an LSTM."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        nn.LSTM(8, 8)(torch.zeros(4, 1, 8))
    return counter.get_total_flops() > 0


def operations(run: Any) -> int:
    """Return how many operations a run's products are."""
    fused = 0

    def look(module: nn.Module, inputs: Any, _: Any) -> None:
        nonlocal fused
        if isinstance(module, nn.LSTM):
            given = inputs[0]
            steps = given.data.shape[0] if hasattr(given, "data") else given.numel()
            if isinstance(given, torch.Tensor):
                steps = given.shape[0] * given.shape[1]
            sides = 2 if module.bidirectional else 1
            width, hidden = module.input_size, module.hidden_size
            for _layer in range(module.num_layers):
                fused += 8 * hidden * (width + hidden) * sides * steps
                width = hidden * sides

    handle = None if counts_lstm() else register_module_forward_hook(look)
    try:
        with FlopCounterMode(display=False) as counter:
            run()
    finally:
        if handle is not None:
            handle.remove()
    return int(counter.get_total_flops()) + fused


def measure(kind: str, words: int, rows: int, threads: int) -> dict[str, Any]:
    """Return the figures of one run."""
    torch.set_num_threads(threads)
    reader = load_reader(kind)
    items = [Item(text=text) for text in texts(words, rows)]
    reader(items[:32])
    before = machine_rate()
    began = time.perf_counter()
    reader(items)
    seconds = time.perf_counter() - began
    rate = (before + machine_rate()) / 2
    done = operations(lambda: reader(items))
    return {
        "kind": kind,
        "words": words,
        "rows": rows,
        "threads": threads,
        "rows_per_second": rows / seconds,
        "operations_per_row": done / rows,
        "operations_per_second": done / seconds,
        "machine_operations_per_second": rate,
        "share": done / seconds / rate,
    }


def main() -> None:
    """Print one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="review", help="whose model reads")
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    result = measure(said.kind, said.words, said.rows, said.threads)
    if said.json:
        print(json.dumps(result))
        return
    print(
        f"{result['rows_per_second']:.1f} rows/s of {said.words} words: "
        f"{result['operations_per_second'] / 1e9:.2f} of "
        f"{result['machine_operations_per_second'] / 1e9:.1f} GFLOP/s, "
        f"a share of {result['share']:.1%} "
        f"({result['operations_per_row'] / 1e6:.2f} MFLOP a row)"
    )


if __name__ == "__main__":
    main()
