"""What readers made of documents: rows that are only ever added, one an attempt that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, update

from ledger.columns import SECOND, clean, dump_json, new_id, to_datetime
from ledger.database import Database
from ledger.schema import deliveries, documents, readings, results, tallies

BUCKET = 5 * SECOND
MAIL_TEXTS = {"text": "mail_text", "reply_text": "mail_reply_text"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result of a document: an outcome, or an error `{"code", "message"}`."""

    id: str
    document_id: str
    attempt: int
    kind: str | None
    outcome: dict[str, Any] | None
    error: dict[str, Any] | None
    model_name: str | None
    model_version: str | None
    vector: bytes | None  # of the text, among the examples that this version of the model keeps
    created_at: datetime


@dataclass(frozen=True)
class Finished:
    """What came of one owed document: an outcome, or a final `error`.

    `kind` is the recognised one where none was said, `type` the sniffed one. `mail` is the
    design's mail object. `vector` places the text among the examples that its model keeps. Each
    of `deliveries` is `{"connector", "payload"}`, owed with it.
    """

    owed_id: str
    outcome: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    text: str | None = None
    kind: str | None = None
    type: str | None = None
    pages: int | None = None
    mail: dict[str, Any] | None = None
    vector: bytes | None = None
    deliveries: tuple[dict[str, Any], ...] = field(default=())


def from_result_row(row: Row[Any]) -> Result:
    """Return the result of a row of `results`."""
    values = dict(row._mapping)
    del values["workspace"]
    return Result(**values)


def storable(finished: Finished) -> Finished:
    """Return `finished`, or a failure in its place when it cannot be kept as JSON.

    Looked at before the transaction, so that one bad item never takes its batch with it.
    """
    try:
        dump_json([finished.outcome, finished.error, finished.mail])
        for delivery in finished.deliveries:
            dump_json(delivery["payload"])
            if not isinstance(delivery["connector"], str):
                raise TypeError("a connector is named by a string")
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        # Its own words might quote the document
        message = f"the outcome could not be kept ({type(error).__name__})"
        return Finished(finished.owed_id, error={"code": "bad_outcome", "message": message})
    return finished


def commit(
    connection: Connection,
    database: Database,
    taken: Sequence[tuple[Row[Any], Finished]],
    *,
    holder: str,
) -> None:
    """Add results and all that hangs on them; `taken` pairs removed owed rows with their ends.

    The caller has removed the owed rows in the same transaction.
    """
    if not taken:
        return
    now = database.now()
    rows = [_result_row(row, finished, now) for row, finished in taken]
    connection.execute(insert(results), rows)
    database.upsert(connection, readings, [_reading(r, f) for r, f in taken if _is_read(f)])
    changes = [
        _document_changes(row, finished, result, now)
        for (row, finished), result in zip(taken, rows, strict=True)
    ]
    connection.execute(_update_documents(), sorted(changes, key=lambda change: change["of"]))
    owed_deliveries = [
        _delivery_row(row, delivery, now) for row, done in taken for delivery in done.deliveries
    ]
    if owed_deliveries:
        connection.execute(insert(deliveries), owed_deliveries)
    tally(connection, database, _counts(taken), holder, now)


def needs_review(outcome: Mapping[str, Any] | None) -> bool | None:
    """Say whether any part of an outcome is in doubt; None when there is no outcome."""
    if outcome is None:
        return None
    heads = outcome.get("labels") or {}
    doubts = [head.get("needs_review") for head in heads.values() if isinstance(head, Mapping)]
    return any([outcome.get("needs_review"), *doubts])


def _is_read(finished: Finished) -> bool:
    return finished.text is not None or finished.mail is not None


def _result_row(row: Row[Any], finished: Finished, now: int) -> dict[str, Any]:
    model = (finished.outcome or {}).get("model") or {}
    return {
        "id": new_id(),
        "document_id": row.document_id,
        "workspace": row.workspace,
        "attempt": row.attempts,
        "kind": row.kind_said if finished.kind is None else clean(finished.kind),
        "outcome": finished.outcome,
        "error": finished.error,
        "model_name": model.get("name"),
        "model_version": None if model.get("version") is None else str(model["version"]),
        "vector": finished.vector,
        "created_at": to_datetime(now),
    }


def _reading(row: Row[Any], finished: Finished) -> dict[str, Any]:
    reading: dict[str, Any] = {
        "document_id": row.document_id,
        "text": None if finished.text is None else clean(finished.text),
    }
    for key, column in MAIL_TEXTS.items():
        value = (finished.mail or {}).get(key)
        reading[column] = clean(value) if isinstance(value, str) else None
    return reading


def _document_changes(
    row: Row[Any], finished: Finished, result: Mapping[str, Any], now: int
) -> dict[str, Any]:
    mail = finished.mail
    return {
        "of": row.document_id,
        "state": "failed" if finished.outcome is None else "done",
        "kind": result["kind"],
        "type": None if finished.type is None else clean(finished.type),
        "result_id": result["id"],
        "finished_at": to_datetime(now),
        "needs_review": needs_review(finished.outcome),
        "characters": None if finished.text is None else len(finished.text),
        "pages": finished.pages,
        "mail": mail and {key: value for key, value in mail.items() if key not in MAIL_TEXTS},
    }


def _update_documents() -> Any:
    changed = "state kind type result_id finished_at needs_review characters pages mail"
    return (
        update(documents)
        .where(documents.c.id == bindparam("of"))
        .values({name: bindparam(name) for name in changed.split()})
    )


def _delivery_row(row: Row[Any], delivery: Mapping[str, Any], now: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "document_id": row.document_id,
        "workspace": row.workspace,
        "connector": clean(delivery["connector"]),
        "payload": delivery["payload"],
        "state": "waiting",
        "attempts": 0,
        "free_at": now,
        "log": [],
        "created_at": to_datetime(now),
    }


def tally(
    connection: Connection,
    database: Database,
    counts: Mapping[str, tuple[int, int]],
    holder: str,
    now: int,
) -> None:
    """Count what was finished and what failed on each queue, for its throughput."""
    # A row a holder: two workers never wait for each other to count
    statement = database.insert(tallies)
    statement = statement.on_conflict_do_update(
        index_elements=["queue", "holder", "bucket"],
        set_={
            "finished": tallies.c.finished + statement.excluded.finished,
            "failed": tallies.c.failed + statement.excluded.failed,
        },
    )
    for queue, (finished_number, failed_number) in sorted(counts.items()):
        values = {"queue": queue, "holder": holder, "bucket": now // BUCKET}
        connection.execute(
            statement, values | {"finished": finished_number, "failed": failed_number}
        )


def _counts(taken: Sequence[tuple[Row[Any], Finished]]) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for row, finished in taken:
        done, failed = counts.get(row.queue, (0, 0))
        lost = finished.outcome is None
        counts[row.queue] = (done + (not lost), failed + lost)
    return counts
