"""Make the fraud detector that comes with Mailroom, from data of our own generator.

    python -m benchmarks.series_weights [--seed 7] [--folder weights/fraud-demonstration]

It is for trying things out: nothing of any real bank is in it. Only the sequence model is kept,
so that it runs where LightGBM is not installed.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from timeseries import demonstration
from timeseries.fraud import table
from timeseries.fraud.fitting import FraudSettings, fit

SIZE = {"cards": 1200, "terminals": 2000, "days": 90}

CARD = """# fraud-demonstration

Scores card transactions: a GRU over a card's last twelve payments, attention, and the features of
`timeseries/fraud/features.py`.

- **Data**: {rows:,} payments of {cards:,} cards in {days} days, {frauds:,} of them fraud, made by
  `timeseries.demonstration.transactions` with seed {seed}. Ours, under this repository's licence.
- **Recipe**: `python -m benchmarks.series_weights --seed {seed}`.
- **Labels** count once they are seven days old.
- **Dev** (the last week with labels, cards already known as compromised left out): {scores}.
- **Bad at**: anything real. A bank's cards, amounts and frauds are others than the generator's:
  train on your own history with `mailroom train NAME --task fraud FILE`.
"""


def main() -> None:
    """Generate, fit, and write the weights folder anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path("weights/fraud-demonstration"))
    said = parser.parse_args()
    torch.set_num_threads(1)
    frame = demonstration.transactions(seed=said.seed, **SIZE)
    transactions, _ = table.read(frame, table.recognise(frame))
    fitted = fit(transactions, FraudSettings(trees=False, seed=said.seed, budget=20))
    dev = {name: value for name, value in fitted.table[0].items() if isinstance(value, float)}
    scores = ", ".join(f"{name} {value:.3f}" for name, value in dev.items() if name != "chosen")
    card = CARD.format(
        rows=len(frame), frauds=int(frame["is_fraud"].sum()), seed=said.seed, scores=scores,
        cards=SIZE["cards"], days=SIZE["days"],
    )  # fmt: skip
    if said.folder.exists():
        shutil.rmtree(said.folder)
    fitted.detector.save(
        said.folder,
        card=card,
        name="fraud-demonstration",
        version="1",
        facts={"seed": said.seed, "data": "timeseries.demonstration", "dev": dev},
    )
    print(card)


if __name__ == "__main__":
    main()
