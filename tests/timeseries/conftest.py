"""Small histories of our own making; every test of this room starts from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
import torch

from timeseries import demonstration, panel, roles
from timeseries.fraud import table
from timeseries.fraud.features import Transactions
from timeseries.fraud.fitting import Fitted, FraudSettings, fit
from timeseries.panel import Panel


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small models are faster on one thread, and other tests run beside these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sales() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A year of six shops with four items, and the plan of two weeks ahead."""
    return demonstration.sales(stores=6, items=4, days=364, ahead=14, seed=1)


@pytest.fixture(scope="session")
def sales_panel(sales: tuple[pl.DataFrame, pl.DataFrame]) -> Panel:
    """The same history and plan as a panel."""
    history, ahead = sales
    built, _ = panel.build_panel(history, roles.recognise(history), future=ahead)
    return built


@pytest.fixture(scope="session")
def payments() -> pl.DataFrame:
    """Seven weeks of card payments with fraud."""
    return demonstration.transactions(cards=150, terminals=120, days=50, seed=2)


@pytest.fixture(scope="session")
def transactions(payments: pl.DataFrame) -> Transactions:
    """The same payments as the features read them."""
    found, order = table.read(payments, table.recognise(payments))
    assert (np.diff(order) > 0).all()
    return found


@pytest.fixture(scope="session")
def fitted_fraud(transactions: Transactions) -> Fitted:
    """A small detector, fitted once for all tests."""
    torch.set_num_threads(1)
    return fit(transactions, FraudSettings(epochs=2, hidden_size=8, budget=5))
