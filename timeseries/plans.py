"""What the plan ahead says of a moment: promotions, prices, holidays, days without a row.

All of it is known ahead, so what comes after a moment may be read; targets are read to choose
the main promotion only, as far as the panel holds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from timeseries.panel import Panel
from timeseries.windows import Sums, ahead, since

Floats = npt.NDArray[np.float64]

HOLIDAY = re.compile(r"holiday|event|snap|festiv")
NUMBERED = re.compile(r"^(.*?)(\d+)$")


@dataclass(frozen=True)
class Plan:
    """Features N x T each, and whether there is an event worth conditioning on."""

    values: dict[str, npt.NDArray[np.float32]]
    has_event: bool


def main_event(panel: Panel) -> Floats:
    """Return, N x T, 1 where the yes-or-no plan that moves sales most is on, else 0."""
    best, chosen = 0.0, np.zeros(panel.y.shape)
    for name, values in panel.known.items():
        on = _binary(panel, name, values)
        if on is None or HOLIDAY.search(name.lower()):
            continue
        value = np.log1p(np.maximum(panel.y, 0))
        with np.errstate(invalid="ignore"):
            deviation = value - _row_mean(value)
        known = np.isfinite(deviation)
        share = on[known].mean() if known.any() else 0.0
        if not 0.01 < share < 0.99:
            continue
        lift = abs(deviation[known & (on == 1)].mean() - deviation[known & (on == 0)].mean())
        if lift * np.sqrt(share * (1 - share)) > best:
            best, chosen = float(lift * np.sqrt(share * (1 - share))), on
    return chosen


def features(panel: Panel, event: Floats) -> Plan:
    """Return every plan's features at each moment."""
    found: dict[str, Floats] = {}
    season = panel.grid.season
    for name, values in panel.known.items():
        found[name] = values
        on = _binary(panel, name, values)
        if on is not None:
            found |= _switch_features(name, on)
        elif name in panel.categories:
            found |= _switch_features(name, (np.nan_to_num(values) > 0).astype(float))
        elif not NUMBERED.match(name):
            found |= _amount_features(name, values)
    found |= _own_of_numbered(panel)
    found |= _own_of_suffixed(panel)
    found |= _gap_features(panel)
    if panel.grid.unit == "day" and event.any():
        week = Sums(event)
        n, moments = event.shape
        series, moment = np.divmod(np.arange(n * moments), moments)
        mean = week.mean(series, moment, 2 * season)[0].reshape(n, moments)
        found["event_share_14"] = np.nan_to_num(mean)
    # features are float32 in the end: for thousands of series the rest is gigabytes
    return Plan(
        {name: values.astype(np.float32) for name, values in found.items()}, bool(event.any())
    )


def _binary(panel: Panel, name: str, values: Floats) -> Floats | None:
    """Return a plan of two values as 0 and 1 (a missing cell is 0), or None when it has more."""
    if name in panel.categories:
        return None
    different = np.unique(values[np.isfinite(values)])
    if len(different) != 2:
        return None
    return (np.nan_to_num(values, nan=different[0]) == different[1]).astype(float)


def _row_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1)
    return (total / np.maximum(known.sum(axis=1), 1))[:, None]


def _switch_features(name: str, on: Floats) -> dict[str, Floats]:
    """Return how long it has been on or off, how long it will be, and the days around."""
    active, idle = on == 1, on == 0
    return {
        f"{name}_before": _moved(on, 1),
        f"{name}_after": _moved(on, -1),
        f"{name}_since_off": np.minimum(since(idle), 60),
        f"{name}_until_off": np.minimum(ahead(idle), 60),
        f"{name}_since_on": np.minimum(since(active), 60),
        f"{name}_until_on": np.minimum(ahead(active), 60),
    }


def _amount_features(name: str, values: Floats) -> dict[str, Floats]:
    """Return a price beside what it usually was: its own last 13 and 52 moments, and the last."""
    n, moments = values.shape
    series, moment = np.divmod(np.arange(n * moments), moments)
    logs = np.log(np.where(values > 0, values, np.nan))
    sums = Sums(logs)
    found = {f"{name}_before": logs - _moved(_filled(logs), 1)}
    for width in (4, 13, 52):
        usual = sums.mean(series, moment - 1, width)[0].reshape(n, moments)
        found[f"{name}_usual_{width}"] = logs - usual
    found[f"{name}_after"] = _moved(logs, -1) - logs
    return found


def _own_of_numbered(panel: Panel) -> dict[str, Floats]:
    """Return a series' own column of a numbered group (price1 .. price11), and its rivals'.

    A key whose values number the columns says which is a series' own.
    """
    groups: dict[str, dict[str, str]] = {}
    for name in panel.known:
        match = NUMBERED.match(name)
        if match:
            groups.setdefault(match[1], {})[match[2]] = name
    found: dict[str, Floats] = {}
    for stem, members in groups.items():
        for place in range(len(panel.key_names)):
            labels = [key[place] for key in panel.keys]
            if len(members) < 2 or set(labels) - set(members):
                continue
            all_values = np.stack([panel.known[name] for name in members.values()])
            place_of = {number: i for i, number in enumerate(members)}
            own_place = np.array([place_of[label] for label in labels])
            own = all_values[own_place, np.arange(len(panel))]
            found |= _beside_rivals(f"own_{stem}", own, all_values, own_place)
            break
    return found


def _beside_rivals(
    name: str, own: Floats, all_values: Floats, own_place: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    rivals = all_values.copy()
    rivals[own_place, np.arange(own.shape[0])] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(rivals, axis=0) / np.maximum(np.isfinite(rivals).sum(axis=0), 1)
        lowest = np.nanmin(np.where(np.isfinite(rivals), rivals, np.inf), axis=0)
        found = {
            name: own,
            f"{name}_to_mean": np.log(own / mean),
            f"{name}_to_lowest": np.log(own / lowest),
            f"{name}_rank": (rivals < own[None]).sum(axis=0).astype(float),
        }
    return found | _amount_features(name, own) | _amount_features(f"{name}_rivals", mean)


def _own_of_suffixed(panel: Panel) -> dict[str, Floats]:
    """Return a series' own of plans that name a place (snap_CA for the series of CA_1)."""
    stems: dict[str, dict[str, str]] = {}
    for name in panel.known:
        stem, _, place = name.rpartition("_")
        if stem and place.isupper():
            stems.setdefault(stem, {})[place] = name
    found: dict[str, Floats] = {}
    for stem, members in stems.items():
        own = np.full(panel.y.shape, np.nan)
        for i, key in enumerate(panel.keys):
            for place, name in members.items():
                if any(part == place or part.startswith(f"{place}_") for part in key):
                    own[i] = panel.known[name][i]
        if np.isfinite(own).any():
            found[f"own_{stem}"] = own
            found |= _switch_features(f"own_{stem}", (np.nan_to_num(own) > 0).astype(float))
    return found


def _gap_features(panel: Panel) -> dict[str, Floats]:
    """Return how days without a row (closed, not in the range) lie around a moment."""
    absent = ~panel.present
    if panel.present.mean() > 0.995:
        return {}
    edge = np.zeros(panel.y.shape)
    edge[:, -1] = np.nan  # beyond the plan's end nothing is known
    after = _moved(absent.astype(float), -1) + edge
    return {
        "closed_before": _moved(absent.astype(float), 1),
        "closed_after": after,
        "since_closed": np.minimum(since(absent), 30),
        "until_closed": np.minimum(ahead(absent), 30),
        "closed_run_before": _moved(_run(absent), 1),
        "closed_run_after": _moved(_run(absent[:, ::-1])[:, ::-1], -1),
        "since_long_gap": np.minimum(since(_run(absent) >= 14), 400),
    }


def _run(happens: npt.NDArray[np.bool_]) -> Floats:
    """Return how many moments in a row, up to this one, it has happened."""
    return np.where(happens, np.nan_to_num(since(~happens), nan=400.0), 0.0)


def _moved(values: Floats, steps: int) -> Floats:
    """Return the values `steps` moments before (after, when negative); NaN beyond the edge."""
    found = np.full(values.shape, np.nan)
    if steps > 0:
        found[:, steps:] = values[:, :-steps]
    else:
        found[:, :steps] = values[:, -steps:]
    return found


def _filled(values: Floats) -> Floats:
    """Return the values with each hole filled by the last one before it."""
    moment = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isfinite(values), moment, -1), axis=1)
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, filled, np.nan)
