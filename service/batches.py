"""Batches over the API: hand a large file in, watch it, pause it, fetch what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from flask import Response, g, request, url_for
from flask_openapi3 import APIBlueprint, Tag

from ledger import Batch
from service import access, downloads, openapi, wire
from service.access import viewer
from service.errors import EmptyDocument, InvalidRequest, TooLarge, UnsupportedMediaType
from service.parts import parts
from service.schemas import (
    Batches,
    BatchPath,
    BatchQuery,
    BatchSummary,
    SubmissionHeaders,
)
from service.submission import checked_key, clean_name, known_kind, known_kinds
from workers.client import HEAD_BYTES, RESULTS, result_name, sniff

QUEUE = "bulk"
PIECE_BYTES = 1 << 20
COLUMN_CHARACTERS = 255
OVERHEAD_BYTES = 1_000_000  # of the form around the file

bp = APIBlueprint(
    "batches",
    __name__,
    url_prefix="/api/v1/batches",
    abp_tags=[Tag(name="batches")],
    abp_security=openapi.BEARER,
    abp_responses=openapi.problems(401, 403, 422),
)


def allow_large() -> None:
    """Let this request bring a large file, which goes to the disk and not to memory."""
    limit = parts().settings.batch_bytes
    if (request.content_length or 0) > limit + OVERHEAD_BYTES:
        raise TooLarge(f"This server takes batches of up to {limit:,} bytes.")
    request.max_content_length = limit + OVERHEAD_BYTES
    g.upload_bytes = limit
    g.spool = parts().settings.data_dir.expanduser() / "uploads"


bp.before_request(access.bearer_gate)
bp.before_request(allow_large)
bp.teardown_request(lambda error: close_spooled(error))

Answer = tuple[dict[str, Any], int, dict[str, str]]


def spooled() -> IO[bytes] | None:
    """Return a file of the disk for an upload that `allow_large` let in, else None."""
    folder = g.get("spool")
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # it has no name, so nothing can be left behind; closed when the request is over
    stream = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    g.setdefault("spooled", []).append(stream)
    return stream


def close_spooled(_: BaseException | None) -> None:
    """Free the disk at once, also of an upload that was refused."""
    for stream in g.get("spooled", []):
        stream.close()


@bp.post(
    "",
    responses=openapi.answers({202: openapi.accepted(BatchSummary)}, 400, 413, 415, 422, 429, 507),
    openapi_extensions={"requestBody": openapi.BATCH_BODY},
)
def hand_in(header: SubmissionHeaders) -> Answer:
    """Keep a table or an archive, queue its rows, and say where its result will be.

    CSV, JSON lines, Parquet or a ZIP of files. The result has the same rows in the same order
    with columns for every answer; a row that cannot be read has its error beside it.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with a `file` and a `kind`.")
    batch = submit_batch(idempotency_key=header.idempotency_key)
    return wire.batch(batch), 202, {"Location": url_for("batches.show", id=batch.id)}


def submit_batch(*, idempotency_key: str | None = None) -> Batch:
    """Keep the batch that this request's form brings, and ring for a worker."""
    files = request.files.getlist("file")
    if len(files) != 1:
        raise InvalidRequest("Send exactly one `file`: a table, or a ZIP of documents.")
    kind = known_kind(request.form.get("kind"), viewer())
    if kind is None:
        raise InvalidRequest("Say the `kind`: " + ", ".join(known_kinds(viewer())) + ".")
    column = request.form.get("text_column") or None
    if column is not None and len(column) > COLUMN_CHARACTERS:
        raise InvalidRequest(f"A column's name has at most {COLUMN_CHARACTERS} characters.")
    name = clean_name(files[0].filename or "")
    stream = files[0].stream
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if not head:
        raise EmptyDocument("The file has no bytes.")
    found = sniff(name, head)
    if found is None:
        raise UnsupportedMediaType("A batch is CSV, JSON lines, Parquet, or a ZIP of files.")
    batch = parts().ledger.batches.accept(
        pieces_of(stream),
        viewer=viewer(),
        kind=kind,
        name=name,
        file_format=found,
        text_column=None if found == "zip" else column,
        idempotency_key=checked_key(idempotency_key),
    )
    parts().client.ring(QUEUE)
    return batch


def pieces_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream in pieces, and close it at the end."""
    with stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


@bp.get("", responses=openapi.answers({200: Batches}))
def find(query: BatchQuery) -> dict[str, Any]:
    """List batches, newest first."""
    page = parts().ledger.batches.list(
        viewer(), state=query.state, limit=query.limit, after=query.after
    )
    return {"items": [wire.batch(batch) for batch in page.items], "after": page.after}


@bp.get("/<id>", responses=openapi.answers({200: BatchSummary}, 404))
def show(path: BatchPath) -> dict[str, Any]:
    """Return how far a batch is, how fast, and how long it will take."""
    return wire.batch(parts().ledger.batches.get(path.id, viewer()))


@bp.get(
    "/<id>/result",
    responses=openapi.answers(
        {200: openapi.content("application/octet-stream", "The table with the answers.")},
        404,
        409,
        410,
    ),
)
def result(path: BatchPath) -> Response:
    """Download the result: the input's format, our columns behind its own."""
    return download(path.id)


def download(batch_id: str) -> Response:
    """Return a finished batch's result, streamed."""
    batch, stream = parts().ledger.batches.result(batch_id, viewer())
    answer = downloads.attachment(
        b"", name=result_name(batch.name, batch.format), media_type=RESULTS[batch.format][1]
    )
    answer.response = pieces_of(stream)
    answer.headers["Content-Length"] = str(batch.output_size)
    return answer


@bp.post("/<id>/pause", responses=openapi.answers({200: BatchSummary}, 404, 409))
def pause(path: BatchPath) -> dict[str, Any]:
    """Stop after the rows in hand, until it is resumed."""
    return wire.batch(parts().ledger.batches.pause(path.id, viewer()))


@bp.post("/<id>/resume", responses=openapi.answers({200: BatchSummary}, 404, 409))
def resume(path: BatchPath) -> dict[str, Any]:
    """Go on with a paused or failed batch, behind the last row that was read."""
    batch = parts().ledger.batches.resume(path.id, viewer())
    parts().client.ring(QUEUE)
    return wire.batch(batch)


@bp.post("/<id>/cancel", responses=openapi.answers({200: BatchSummary}, 404, 409))
def cancel(path: BatchPath) -> dict[str, Any]:
    """Stop for good; there will be no result."""
    return wire.batch(parts().ledger.batches.cancel(path.id, viewer()))


@bp.delete("/<id>", responses=openapi.answers({204: None}, 404))
def delete(path: BatchPath) -> tuple[str, int]:
    """Erase a batch: its input and its result."""
    parts().ledger.batches.delete(path.id, viewer())
    return "", 204
