"""Series a second and transactions a second, and a table of encoders, on data of our own.

    python -m benchmarks.series [speed|encoders] [--json]

`speed`: fit and forecast of many series by the network and by LightGBM beside statsforecast's
ETS and Theta, and transactions a second through the stateful scorer, with its p95. `encoders`:
Elman, LSTM, GRU and transformer by error, training time and length of the past they read. One
thread, one machine, one run, processor seconds: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from timeseries import demonstration, panel, roles
from timeseries.demand import baselines, blend, boosted, learning
from timeseries.demand.boosted import TreeSettings
from timeseries.demand.learning import NetworkSettings
from timeseries.demand.rows import Ask, Rows, rows_at, training_rows
from timeseries.demand.scale import Prepared, Scale
from timeseries.fraud import score
from timeseries.panel import Panel

HORIZON = 28
SINGLE = 400  # transactions sent alone, for the p95
BATCH = 2000
PAIRS = 1000  # series and origins that each encoder reads in an epoch


class Clock:
    """Processor seconds since it was last asked: other work on the machine does not count."""

    def __init__(self) -> None:
        self.started = time.process_time()

    def lap(self) -> float:
        """Return the seconds and start anew."""
        now = time.process_time()
        seconds, self.started = now - self.started, now
        return seconds


def sales_panel(stores: int, items: int, days: int) -> Panel:
    """Return demonstration sales as a panel."""
    history, _ = demonstration.sales(stores=stores, items=items, days=days, ahead=1, seed=3)
    return panel.build_panel(history, roles.recognise(history))[0]


def questions(
    whole: Panel, pairs: int | None = None
) -> tuple[Scale, Rows, Prepared, Rows, Prepared]:
    """Return training rows and the rows of the last month, prepared.

    With `pairs`, rows of so many pairs of a series and an origin, whole: what a network reads.
    """
    origin, ask = whole.last - HORIZON, Ask(HORIZON)
    scale = Scale(whole, "percentage", whole.last, choose_until=origin)
    rows = training_rows(whole, origin, ask, limit=60_000, seed=0, pairs=pairs)
    test = rows_at(whole, [origin], ask)
    return scale, rows, scale.prepare(rows), test, scale.prepare(test)


def mape(whole: Panel, rows: Rows, found: Any) -> float:
    """Return the mean absolute percentage error of rows."""
    truth = whole.y[rows.series, rows.moment]
    zeros = np.zeros(len(truth), dtype=np.int64)
    return blend.loss(truth, found, zeros, np.ones(len(truth)), "percentage")


def speed_of_demand() -> list[dict[str, Any]]:
    """Return one line a method: series fitted and forecast a second, and its error."""
    whole = sales_panel(100, 4, 540)
    scale, rows, prepared, test, asked = questions(whole)
    sales = whole.y[rows.series, rows.moment]
    lines = []
    clock = Clock()
    trees = boosted.fit(prepared, sales, None, TreeSettings())
    fit_seconds = clock.lap()
    found = trees.predict(asked)
    lines.append(
        _line("boosted (LightGBM)", whole, fit_seconds, clock.lap(), mape(whole, test, found))
    )
    settings = NetworkSettings()
    clock.lap()
    network = learning.fit(scale, rows, prepared, sales, None, settings)
    fit_seconds = clock.lap()
    found = learning.predict(network, scale, test, asked, settings.past)[0]
    lines.append(_line("network (GRU)", whole, fit_seconds, clock.lap(), mape(whole, test, found)))
    origin = whole.last - HORIZON
    chosen = np.arange(0, len(whole), 10)
    some = test.take(np.isin(test.series, chosen))
    baselines.statistical(whole, origin, chosen[:1], HORIZON)  # compiles itself once
    clock.lap()
    both = baselines.statistical(whole, origin, chosen, HORIZON)
    seconds = clock.lap()
    place = np.searchsorted(chosen, some.series), some.ahead - 1
    for name, table in both.items():
        line = _line(name + " (statsforecast)", whole, 0.0, 0.0, mape(whole, some, table[place]))
        line |= {"series_per_second_fit": None, "series_per_second_forecast": None}
        lines.append(line)
    lines[-1]["series_per_second_both_with_fit"] = len(chosen) / seconds
    clock.lap()
    found = baselines.event_median(whole, origin, test.series, test.moment)
    lines.append(_line("event_median", whole, 0.0, clock.lap(), mape(whole, test, found)))
    return lines


def _line(name: str, whole: Panel, fit: float, forecast: float, error: float) -> dict[str, Any]:
    return {
        "method": name,
        "series_per_second_fit": len(whole) / fit if fit else None,
        "series_per_second_forecast": len(whole) / forecast if forecast else None,
        "mape": error,
    }


def speed_of_fraud() -> dict[str, Any]:
    """Return transactions a second through the stateful scorer, and the p95 of one alone."""
    frame = demonstration.transactions(cards=200, terminals=300, days=60, seed=4)
    items = [
        row | {"time": row["time"].isoformat(), "is_fraud": None}
        for row in frame.iter_rows(named=True)
    ]
    states = score(items[:BATCH], {})["states"]
    clock = Clock()
    found = score(items[BATCH : 2 * BATCH], states)
    seconds = clock.lap()
    states, singles = found["states"], []
    for item in items[2 * BATCH : 2 * BATCH + SINGLE]:
        clock.lap()
        states = score([item], states)["states"]
        singles.append(clock.lap() * 1000)
    cuts = statistics.quantiles(singles, n=20)
    return {
        "transactions_per_second": BATCH / seconds,
        "milliseconds_p50": statistics.median(singles),
        "milliseconds_p95": cuts[-1],
        "alerts": sum(answer["alert"] for answer in found["scores"]),
    }


def encoders() -> list[dict[str, Any]]:
    """Return one line an encoder and length of the past: error and training time."""
    whole = sales_panel(40, 4, 540)
    scale, rows, prepared, test, asked = questions(whole, PAIRS)
    sales = whole.y[rows.series, rows.moment]
    lines = []
    for past in (14, 56, 112):
        for name in ("rnn", "lstm", "gru", "transformer"):
            settings = replace(NetworkSettings(), encoder=name, past=past, epochs=6)
            clock = Clock()
            network = learning.fit(scale, rows, prepared, sales, None, settings)
            seconds = clock.lap()
            found = learning.predict(network, scale, test, asked, past)[0]
            lines.append(
                {
                    "encoder": name,
                    "past": past,
                    "mape": mape(whole, test, found),
                    "training_seconds": seconds,
                    "pairs_per_second": PAIRS * settings.epochs / seconds,
                    "parameters": sum(p.numel() for p in network.parameters()),
                }
            )
    return lines


def main() -> None:
    """Print what was asked for as JSON, or as lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("speed", "encoders"), default="speed")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    torch.set_num_threads(1)
    if said.what == "speed":
        found: dict[str, Any] = {"demand": speed_of_demand(), "fraud": speed_of_fraud()}
    else:
        found = {"encoders": encoders()}
    if said.json:
        print(json.dumps(found))
        return
    for name, part in found.items():
        print(name)
        for line in part if isinstance(part, list) else [part]:
            print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()})


if __name__ == "__main__":
    main()
