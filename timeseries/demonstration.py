"""Data of our own making, to try things on: sales with promotions, cards with fraud.

Seeded: the same seed gives the same tables. No outside data is behind them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
START = date(2024, 1, 1)


def sales(
    *, stores: int = 12, items: int = 4, days: int = 540, ahead: int = 28, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a history of daily sales and the plan of the days ahead (without units).

    Columns: store, item, date, units, promo, price, holiday; region and size are a store's own.
    Shops close on Sundays in one region (no row), sales follow weekday, season, trend, price and
    promotion, with noise; one item in four sells rarely.
    """
    generator = np.random.default_rng(seed)
    whole = days + ahead
    calendar = [START + timedelta(days=i) for i in range(whole)]
    weekday = np.array([day.weekday() for day in calendar])
    holiday = np.array([(day.month, day.day) in {(1, 1), (5, 1), (12, 25)} for day in calendar])
    season = 1 + 0.15 * np.sin(2 * np.pi * (np.arange(whole) / 365 - 0.2))
    frames = []
    for store in range(stores):
        region = ("north", "south")[store % 2]
        size = float(np.exp(generator.normal(0, 0.4)))
        shape = np.array([1.0, 0.95, 0.95, 1.05, 1.3, 1.5, 0.8]) * np.exp(
            generator.normal(0, 0.05, 7)
        )
        for item in range(items):
            line = _item(generator, whole, weekday, rare=item % 4 == 3)
            mean = size * line["level"] * shape[weekday] * season * line["lift"]
            units = generator.poisson(generator.gamma(8, mean / 8))
            closed = holiday | ((weekday == 6) & (region == "south"))
            frames.append(
                pl.DataFrame(
                    {
                        "store": f"S{store + 1:02d}",
                        "item": f"item_{item + 1}",
                        "date": calendar,
                        "units": units.astype(np.int64),
                        "promo": line["promo"].astype(np.int8),
                        "price": np.round(line["price"], 2),
                        "holiday": holiday.astype(np.int8),
                        "region": region,
                        "size": round(size, 3),
                    }
                ).filter(~pl.Series(closed))
            )
    table = pl.concat(frames)
    first_ahead = START + timedelta(days=days)
    history = table.filter(pl.col("date") < first_ahead)
    return history, table.filter(pl.col("date") >= first_ahead).drop("units")


def _item(
    generator: np.random.Generator, days: int, weekday: npt.NDArray[np.int64], *, rare: bool
) -> dict[str, Floats]:
    """Return an item's level, its promotions of a week each, its price and their effect."""
    week = np.arange(days) // 7
    promoted = generator.random(week[-1] + 1) < 0.2
    promo = promoted[week] & (weekday < 6)
    regular = float(np.exp(generator.normal(1.2, 0.3)))
    price = regular * np.where(promo, generator.choice([0.7, 0.8, 0.9], week[-1] + 1)[week], 1.0)
    level = (0.25 if rare else float(np.exp(generator.normal(2.5, 0.4)))) * np.exp(
        generator.normal(0, 0.0004) * np.arange(days)
    )
    lift = np.where(promo, 1.35, 1.0) * (price / regular) ** -1.5
    return {"level": level, "promo": promo, "price": price, "lift": lift}


def transactions(
    *, cards: int = 400, terminals: int = 600, days: int = 75, seed: int = 0
) -> pl.DataFrame:
    """Return card payments with fraud, in order of time.

    Columns: transaction_id, time, card, terminal, amount, is_fraud. Every card has its own usual
    amount, hours and nearby terminals. Three kinds of fraud: a terminal whose payments are all
    misused for three to five weeks, a stolen card number that pays several times the usual for
    a week or two, and single very large payments.
    """
    generator = np.random.default_rng(seed)
    card_place = generator.random((cards, 2))
    terminal_place = generator.random((terminals, 2))
    usual = np.exp(generator.normal(3.4, 0.6, cards))
    rate = generator.uniform(0.3, 4.0, cards)
    rows: list[Floats] = []
    for card in range(cards):
        distance = np.linalg.norm(terminal_place - card_place[card], axis=1)
        near = np.argsort(distance)[: max(5, terminals // 20)]
        count = generator.poisson(rate[card] * days)
        moment = np.sort(generator.uniform(0, days, count))
        clock = np.clip(generator.normal(14, 4, count), 0, 23.99) / 24
        rows.append(
            np.stack(
                [
                    np.floor(moment) + clock,
                    np.full(count, float(card)),
                    generator.choice(near, count).astype(float),
                    np.maximum(1, generator.gamma(5, usual[card] / 5, count)),
                ],
                axis=1,
            )
        )
    table = np.concatenate(rows)
    table = table[np.argsort(table[:, 0], kind="stable")]
    fraud = _misuse(generator, table, cards, terminals, days)
    begin = datetime(2026, 1, 5)
    return pl.DataFrame(
        {
            "transaction_id": [f"T{i:07d}" for i in range(len(table))],
            "time": [
                begin + timedelta(seconds=int(moment * 86_400)) for moment in table[:, 0].tolist()
            ],
            "card": [f"C{int(card):05d}" for card in table[:, 1].tolist()],
            "terminal": [f"T{int(terminal):05d}" for terminal in table[:, 2].tolist()],
            "amount": np.round(table[:, 3], 2),
            "is_fraud": fraud.astype(np.int8),
        }
    )


def _misuse(
    generator: np.random.Generator, table: Floats, cards: int, terminals: int, days: int
) -> npt.NDArray[np.bool_]:
    """Return which payments are fraud; amounts of `table` are raised in place."""
    moment, card, terminal = table[:, 0], table[:, 1], table[:, 2]
    fraud = np.zeros(len(table), dtype=bool)
    for _ in range(max(2, terminals * days // 3500)):
        start, length = generator.uniform(-20, days), generator.uniform(21, 35)
        bad = generator.integers(terminals)
        fraud |= (terminal == bad) & (moment >= start) & (moment < start + length)
    for _ in range(max(2, cards * days // 1500)):
        start, length = generator.uniform(-7, days), generator.uniform(7, 14)
        stolen = generator.integers(cards)
        inside = (card == stolen) & (moment >= start) & (moment < start + length)
        chosen = inside & (generator.random(len(table)) < 0.4) & ~fraud
        table[chosen, 3] *= generator.uniform(3, 7, int(chosen.sum()))
        fraud |= chosen
    single = generator.random(len(table)) < 0.0003
    table[single, 3] += 250
    return fraud | single
