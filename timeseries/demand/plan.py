"""What a forecast is worth: a newsvendor's plan driven by the quantiles, against a baseline's.

Every period one orders up to a quantile of demand; what is short is lost, what is over is held.
The best quantile is short cost / (short cost + holding cost) (Arrow, Harris, Marschak 1951).

Shapes: R rows, one a series and period.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from timeseries.errors import BadRequest

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """What a unit short and a unit left over cost in a period, in any currency."""

    short: float = 4.0
    holding: float = 1.0

    @property
    def ratio(self) -> float:
        """The quantile of demand to order up to."""
        if self.short <= 0 or self.holding <= 0:
            raise BadRequest("the costs of a stockout and of holding must be above 0")
        return self.short / (self.short + self.holding)


@dataclass(frozen=True)
class Outcome:
    """What a plan led to: shares are of all demand or of all periods."""

    plan: str
    ordered: float
    stockout_share: float  # of periods with demand that ran short
    lost_share: float  # of demand that could not be met
    held_per_period: float
    cost: float

    def to_json(self) -> dict[str, float | str]:
        """Return plain values."""
        return asdict(self)


def simulate(name: str, stock: Floats, demand: Floats, costs: Costs) -> Outcome:
    """Return what ordering up to `stock` would have led to, had `demand` come."""
    stock = np.ceil(np.maximum(stock, 0))
    short, over = np.maximum(demand - stock, 0), np.maximum(stock - demand, 0)
    wanted = demand > 0
    return Outcome(
        name,
        float(stock.sum()),
        float((short[wanted] > 0).mean()) if wanted.any() else 0.0,
        float(short.sum() / demand.sum()) if demand.sum() else 0.0,
        float(over.mean()) if len(over) else 0.0,
        float(costs.short * short.sum() + costs.holding * over.sum()),
    )


def compare(plans: dict[str, Floats], demand: Floats, costs: Costs) -> list[dict[str, float | str]]:
    """Return one line a plan, the cheapest first, each with its cost beside the dearest's."""
    lines = [simulate(name, stock, demand, costs) for name, stock in plans.items()]
    dearest = max((line.cost for line in lines), default=0.0)
    table = []
    for line in sorted(lines, key=lambda line: line.cost):
        saved = 1 - line.cost / dearest if dearest else 0.0
        table.append(line.to_json() | {"saved_share": saved})
    return table
