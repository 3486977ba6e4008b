"""Tables as people have them: what is wrong is said with the row, what is odd is said too."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from timeseries import errors, moments, panel, roles, tables
from timeseries.fraud import table as payments_table


def days(count: int, start: date = date(2026, 1, 1)) -> list[date]:
    return [start + timedelta(days=i) for i in range(count)]


def frame(**changes: object) -> pl.DataFrame:
    """Return a small history of one shop."""
    values = {"store": ["a"] * 10, "date": days(10), "sales": [float(i) for i in range(1, 11)]}
    return pl.DataFrame(values | changes)


def build(table: pl.DataFrame) -> panel.Panel:
    said = roles.recognise(table)
    panel.refuse_negative(table, said)
    return panel.build_panel(table, said)[0]


def test_columns_are_recognised() -> None:
    """A user who must name every column will not come back."""
    table = frame(promo=[0, 1] * 5, customers=[3] * 10, day_of_week=[1] * 10, price=[1.0] * 10)
    said = roles.recognise(table)
    assert (said.series, said.time, said.target) == (("store",), "date", "sales")
    assert said.known == ("promo", "price")  # customers come afterwards


def test_a_missing_column_names_the_option() -> None:
    """The sentence must say what to do."""
    with pytest.raises(errors.MissingColumn, match="--target"):
        roles.recognise(pl.DataFrame({"date": days(3), "a": [1, 2, 3]}))
    with pytest.raises(errors.MissingColumn, match="nope"):
        roles.recognise(frame(), known=("nope",))


@pytest.mark.parametrize(
    ("table", "error", "row"),
    [
        (frame(sales=[1.0, 2, 3, -4, 5, 6, 7, 8, 9, 10]), errors.BadValue, 4),
        (frame(sales=["1", "2", "x", "4", "5", "6", "7", "8", "9", "10"]), errors.BadValue, 3),
        (frame(date=[*days(9), days(9)[2]]), errors.DuplicateRow, 10),
        (frame(date=[str(day) for day in days(9)] + ["soon"]), errors.BadTime, 10),
        (frame(date=[*days(9), None]), errors.BadTime, 10),
        (frame(store=["a"] * 9 + [None]), errors.BadValue, 10),
    ],
)
def test_what_is_wrong_is_said_with_its_row(
    table: pl.DataFrame, error: type[errors.SeriesError], row: int
) -> None:
    """A file of a million lines is put right only by somebody who knows which line."""
    with pytest.raises(error) as caught:
        build(table)
    assert caught.value.row == row
    assert caught.value.to_json()["row"] == row


def test_mixed_frequencies_are_refused() -> None:
    """Weekly sales among daily ones would be read as six closed days a week."""
    weekly = pl.DataFrame(
        {
            "store": ["b"] * 6,
            "date": [date(2026, 1, 1) + timedelta(weeks=i) for i in range(6)],
            "sales": [7.0] * 6,
        }
    )
    with pytest.raises(errors.MixedFrequency) as caught:
        build(pl.concat([frame(), weekly]))
    assert caught.value.row == 11


def test_zones_that_differ_are_refused_and_one_is_dropped() -> None:
    """An hour's sale must stay in its hour."""
    text = [f"2026-01-01T{hour:02d}:00:00+01:00" for hour in range(10)]
    found = moments.parse(pl.Series(text))
    assert found[3] == datetime(2026, 1, 1, 3)
    with pytest.raises(errors.BadTime) as caught:
        moments.parse(pl.Series([*text, "2026-01-01T11:00:00Z"]))
    assert caught.value.row == 11
    aware = pl.Series([datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=0)))])
    assert moments.parse(aware.dt.convert_time_zone("UTC"))[0] == datetime(2026, 1, 1, 5)


def test_gaps_and_single_points_are_told_not_refused() -> None:
    """A closed day is no fault, but nobody should learn of it from a bad forecast."""
    table = pl.concat(
        [
            frame().filter(pl.col("date") != date(2026, 1, 5)),
            pl.DataFrame({"store": ["b"], "date": [date(2026, 1, 3)], "sales": [4.0]}),
        ]
    )
    built = build(table)
    assert any("single point" in notice for notice in built.notices)
    assert any("gaps" in notice for notice in built.notices)
    assert np.isnan(built.y[0, 4])
    assert not built.present[0, 4]


def test_the_future_stays_out_of_the_panel() -> None:
    """Targets of rows to score must not be where a feature could read them."""
    table = frame()
    said = roles.recognise(table)
    built, rows = panel.build_panel(table.head(7), said, future=table.tail(3))
    assert rows is not None
    assert rows.truth.tolist() == [8, 9, 10]
    assert built.last == 6
    assert np.isnan(built.y[:, 7:]).all()


def test_a_future_before_the_history_ends_is_refused() -> None:
    """Otherwise an evaluation would score what it was fitted on."""
    with pytest.raises(errors.BadTime):
        panel.build_panel(frame(), roles.recognise(frame()), future=frame().tail(1))


def test_numbers_that_start_again_go_on() -> None:
    """The M4's test files count from 1; they continue the history, each series its own."""
    history = pl.DataFrame(
        {"series_id": ["a"] * 5 + ["b"] * 3, "t": [1, 2, 3, 4, 5, 1, 2, 3], "y": [1.0] * 8}
    )
    future = pl.DataFrame({"series_id": ["a", "b"], "t": [1, 1], "y": [2.0, 3.0]})
    built, rows = panel.build_panel(history, roles.recognise(history), future=future)
    assert rows is not None
    assert rows.moment.tolist() == [5, 5]
    assert built.y[1].tolist()[2:5] == [1, 1, 1]  # the shorter one ends with the longer one


def test_tables_of_a_folder_belong_together(tmp_path: Path) -> None:
    """Facts go to their shop, calendars to their day."""
    table = pl.concat([frame(), frame(store=["b"] * 10)])
    table.write_parquet(tmp_path / "train.parquet")
    pl.DataFrame({"store": ["b", "a"], "size": [2.0, 1.0]}).write_csv(tmp_path / "stores.csv")
    pl.DataFrame({"date": days(12), "event": [0, 1] * 6}).write_csv(tmp_path / "calendar.csv")
    history = tables.read_history([tmp_path])
    built, _ = panel.build_panel(
        history.table, roles.recognise(history.table), companions=history.companions
    )
    assert built.static["size"].tolist() == [1.0, 2.0]
    assert built.known["event"][0, :4].tolist() == [0, 1, 0, 1]


def test_prices_by_shop_and_day_are_a_plan() -> None:
    """A table by series and time is known ahead, unless somebody says what alone is."""
    table = pl.concat([frame(), frame(store=["b"] * 10)])
    prices = pl.DataFrame(
        {"store": ["b", "a"], "date": [days(3)[2]] * 2, "price": [2.5, 1.5], "revenue": [9, 9]}
    )
    said = roles.recognise(table, companions={"prices": prices})
    built, _ = panel.build_panel(table, said, companions={"prices": prices})
    assert built.known["price"][:, 2].tolist() == [1.5, 2.5]
    assert np.isnan(built.known["price"][:, 3]).all()
    assert "revenue" not in built.known  # known afterwards
    nothing = roles.recognise(table, known=(), companions={"prices": prices})
    assert not panel.build_panel(table, nothing, companions={"prices": prices})[0].known


@pytest.mark.parametrize("name", ["sales.csv", "sales.parquet", "sales.jsonl"])
def test_formats_say_the_same(name: str) -> None:
    """CSV, Parquet and JSON lines are the same table."""
    buffer = io.BytesIO()
    if name.endswith("csv"):
        frame().write_csv(buffer, separator=";")
    elif name.endswith("jsonl"):
        frame().write_ndjson(buffer)
    else:
        frame().write_parquet(buffer)
    built = build(tables.read_body(buffer.getvalue(), name))
    assert built.y[0].tolist() == [float(i) for i in range(1, 11)]


@pytest.mark.parametrize("body", [b"", b"\x00\xff\x00", b"store,date\n"])
def test_what_is_no_table_is_said(body: bytes) -> None:
    """Not a traceback."""
    with pytest.raises(errors.UnreadableTable):
        tables.read_body(body, "sales.csv")


def test_payments_are_checked_with_the_row() -> None:
    """The same for transactions."""
    table = pl.DataFrame(
        {
            "transaction_id": [1, 2, 3],
            "time": [datetime(2026, 1, 1, hour) for hour in (3, 1, 2)],
            "card": ["a", "b", "a"],
            "terminal": ["x", "x", "y"],
            "amount": [1.0, 2.0, 3.0],
        }
    )
    found, order = payments_table.read(table, payments_table.recognise(table))
    assert order.tolist() == [1, 2, 0]
    assert (found.fraud == -1).all()
    for change, row in (
        ({"amount": [1.0, -2.0, 3.0]}, 2),
        ({"transaction_id": [1, 2, 1]}, 3),
        ({"card": ["a", None, "a"]}, 2),
    ):
        bad = table.with_columns(pl.Series(name, values) for name, values in change.items())
        with pytest.raises(errors.SeriesError) as caught:
            payments_table.read(bad, payments_table.recognise(bad))
        assert caught.value.row == row
