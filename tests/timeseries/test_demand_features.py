"""No feature knows the future: change it, and what was known before must not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from timeseries.demand.features import Builder, Table
from timeseries.demand.rows import Ask, Rows, rows_at
from timeseries.moments import Grid
from timeseries.panel import Panel

ORIGIN = 300
ASK = Ask(horizon=14, gap=2)


def features(panel: Panel, rows: Rows, *, logarithm: bool) -> Table:
    """Return the features of rows, from a panel that holds all there is, the future too."""
    builder = Builder(panel, logarithm=logarithm, choose_until=ORIGIN)
    return builder.build(rows.series, rows.origin, rows.moment)


@pytest.mark.parametrize("logarithm", [True, False])
def test_a_changed_future_moves_no_feature(sales_panel: Panel, logarithm: bool) -> None:
    """A feature that read one sale after the origin would make every backtest a lie."""
    rows = rows_at(sales_panel, [ORIGIN], ASK)
    y = sales_panel.y.copy()
    after = np.isfinite(y) & (np.arange(y.shape[1]) > ORIGIN)[None]
    y[after] = np.random.default_rng(0).integers(0, 500, int(after.sum()))
    changed = replace(sales_panel, y=y)

    before = features(sales_panel, rows, logarithm=logarithm)
    now = features(changed, rows, logarithm=logarithm)

    for name in before.names:
        np.testing.assert_array_equal(now.column(name), before.column(name), err_msg=name)
    np.testing.assert_array_equal(now.base, before.base)


def test_training_origins_see_nothing_after_themselves(sales_panel: Panel) -> None:
    """An earlier origin in the same table must not profit from what later ones know."""
    rows = rows_at(sales_panel, [200], ASK)
    whole = Builder(sales_panel, logarithm=True, choose_until=150)
    cut = Builder(sales_panel.until(200), logarithm=True, choose_until=150)

    from_whole = whole.build(rows.series, rows.origin, rows.moment)
    from_cut = cut.build(rows.series, rows.origin, rows.moment)

    np.testing.assert_array_equal(from_whole.values, from_cut.values)


def test_the_past_does_move_features(sales_panel: Panel) -> None:
    """The two tests above would pass on features that read nothing at all."""
    rows = rows_at(sales_panel, [ORIGIN], ASK)
    y = sales_panel.y.copy()
    y[:, ORIGIN - 10 : ORIGIN + 1] *= 3
    before = features(sales_panel, rows, logarithm=True)
    now = features(replace(sales_panel, y=y), rows, logarithm=True)

    assert not np.allclose(
        np.nan_to_num(now.column("mean_7")), np.nan_to_num(before.column("mean_7"))
    )


def test_a_plan_ahead_is_read(sales_panel: Panel) -> None:
    """A promotion planned for a day must be seen on that day, it is known ahead."""
    rows = rows_at(sales_panel, [ORIGIN], ASK)
    promo = sales_panel.known["promo"].copy()
    promo[:, ORIGIN + 1 :] = 1
    changed = replace(sales_panel, known=sales_panel.known | {"promo": promo})

    assert (features(changed, rows, logarithm=True).column("promo") == 1).all()


def test_the_gap_is_kept() -> None:
    """Without its gap a forecast would use days that are not over when it is made."""
    y = np.arange(40.0)[None]
    panel = Panel(
        grid=Grid("number", 1),
        keys=(("a",),),
        key_names=("series",),
        y=y,
        present=np.isfinite(y),
    )
    rows = rows_at(panel, [20], Ask(horizon=2, gap=1))
    assert rows.moment.tolist() == [22, 23]


def test_the_same_item_elsewhere_is_told_of_rare_sales() -> None:
    """An item that no other shop sells any more is on its way out; its own sales say no more."""
    generator = np.random.default_rng(2)
    y = generator.poisson(0.4, (4, 120)).astype(float)
    keys = (("S1", "a"), ("S1", "b"), ("S2", "a"), ("S2", "b"))
    whole = Panel(Grid("day", 0, 7, 364), keys, ("store", "item"), y, np.isfinite(y))
    rows = Rows(np.array([0, 1]), np.array([100, 100]), np.array([105, 105]))
    gone = y.copy()
    gone[2, 60:] = 0
    before = Builder(whole, logarithm=False).build(rows.series, rows.origin, rows.moment)
    now = Builder(replace(whole, y=gone), logarithm=False).build(
        rows.series, rows.origin, rows.moment
    )
    assert now.column("same_item_since")[0] > 40
    assert now.column("same_item_28")[0] == 0
    assert now.column("same_item_28")[1] == before.column("same_item_28")[1]
    own = y.copy()
    own[0, 60:] = 0
    alone = Builder(replace(whole, y=own), logarithm=False).build(
        rows.series, rows.origin, rows.moment
    )
    assert alone.column("same_item_28")[0] == before.column("same_item_28")[0]
