"""Why a transaction is suspicious: what the score loses when one side of it is made ordinary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sequence import Padded
from timeseries.fraud.detector import Detector
from timeseries.fraud.features import NAMES, NEVER

Floats = npt.NDArray[np.float64]

GROUPS: dict[str, tuple[str, ...]] = {
    "amount": (
        "amount", "ratio", "deviation", "mean_1", "mean_7", "mean_30", "ratio_30",
    ),
    "earlier_amounts": (
        "high_1", "high_7", "high_14", "very_high_1", "very_high_7", "very_high_14",
    ),
    "terminal": (
        "terminal_risk_1", "terminal_risk_7", "terminal_risk_30", "quiet_frauds",
        "since_first_fraud", "since_last_fraud", "run_share", "good_since", "since_known",
        "since_good",
    ),
    "terminal_traffic": ("terminal_count_1", "terminal_count_7", "terminal_count_30"),
    "pace": ("gap", "gap_usual", "count_1", "count_7", "count_30", "seen"),
    "time": ("hour", "weekend", "night"),
    "card": ("card_frauds_30",),
}  # fmt: skip


def explain(
    detector: Detector, row: Floats, before: Padded, odds: float, *, most: int = 3
) -> list[dict[str, object]]:
    """Return the groups of facts that raise the score most, the strongest first.

    `weight` is by how much the log odds fall when the group's features are those of an ordinary
    transaction; `text` says it to a person. Groups that do not raise the score are left out.
    """
    variants = np.repeat(row[None], len(GROUPS), axis=0)
    for i, members in enumerate(GROUPS.values()):
        places = [NAMES.index(name) for name in members]
        variants[i, places] = detector.typical[places]
    repeated = Padded(
        before.values.expand(len(GROUPS), *before.values.shape[1:]),
        before.lengths.expand(len(GROUPS)),
    )
    without, _ = detector.log_odds(variants, repeated)
    found = {name: float(row[i]) for i, name in enumerate(NAMES)}
    fallen = sorted(zip(odds - without, GROUPS, strict=True), reverse=True)
    return [
        {"reason": name, "weight": round(float(weight), 3), "text": _sentence(name, found)}
        for weight, name in fallen[:most]
        if weight > 0.1
    ]


def _sentence(group: str, found: dict[str, float]) -> str:
    if group == "amount":
        usual = found["amount"] / max(found["ratio"], 1e-9)
        return f"{found['amount']:.2f} is {found['ratio']:.1f} times the card's usual {usual:.2f}"
    if group == "earlier_amounts":
        return f"{_count(found['high_14'], 'unusually large payment')} on this card in two weeks"
    if group == "terminal":
        if found["quiet_frauds"] == 0 or found["since_last_fraud"] >= NEVER:
            return "what is known of this terminal's payments"
        return (
            f"{_count(found['quiet_frauds'], 'known fraud')} at this terminal, the latest "
            f"{_count(found['since_last_fraud'], 'day')} ago"
        )
    if group == "terminal_traffic":
        return f"{_count(found['terminal_count_1'], 'payment')} at this terminal today"
    if group == "pace":
        return (
            f"{_count(found['count_1'], 'payment')} with this card today, the last "
            f"{_count(found['gap'] / 60, 'minute')} ago"
        )
    if group == "time":
        return f"paid at {int(found['hour']):02d}:{int(found['hour'] % 1 * 60):02d}"
    return f"{found['card_frauds_30']:.0f} known frauds on this card"


def _count(value: float, noun: str) -> str:
    """Return a number of things as people say it."""
    return f"{value:,.0f} {noun}{'' if round(value) == 1 else 's'}"
