"""Which commits wait for the disk: what was promised does, a lease need not."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from ledger import Finished, Ledger, Viewer


@pytest.fixture
def levels(ledger: Ledger) -> list[tuple[str, str]]:
    """Every statement's kind beside the durability its connection has at that moment."""
    seen: list[tuple[str, str]] = []
    query = "PRAGMA synchronous" if ledger.database.is_sqlite else "SHOW synchronous_commit"

    def note(connection, cursor, statement, *_):
        word = " ".join(statement.split()[:3])
        if statement.split()[0] in ("INSERT", "UPDATE", "DELETE"):
            look = connection.connection.cursor()
            look.execute(query)
            seen.append((word, str(look.fetchone()[0])))

    event.listen(ledger.database.engine, "after_cursor_execute", note)
    return seen


def test_what_was_promised_is_on_disk_and_a_lease_is_not_waited_for(
    ledger: Ledger, levels: list[tuple[str, str]]
) -> None:
    """A document accepted or finished survives a power cut; claiming it costs no disk write."""
    full, light = ("2", "1") if ledger.database.is_sqlite else ("on", "off")

    ledger.documents.accept(b"text", viewer=Viewer(), source="api")
    assert {level for _, level in levels} == {full}
    levels.clear()

    (row,) = ledger.owed.claim(
        "interactive", holder="one", items=1, characters=100, lease_seconds=60
    )
    ledger.owed.extend([row.id], holder="one", lease_seconds=60)
    ledger.pulses.beat("interactive", "one")
    assert {level for _, level in levels} == {light}
    levels.clear()

    ledger.owed.finish([Finished(row.id, outcome={"kind": "review"})], holder="one")
    assert {level for _, level in levels} == {full}
