"""`mailroom batch`: hand a table or a folder in over HTTP, watch it, and fetch the result."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import httpx

PLACE = "/api/v1/batches"
FINISHED = ("done", "failed", "cancelled")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # between two looks
PIECE_BYTES = 1 << 20
UPLOAD_SECONDS = 600
SILENT_TRIES = 30  # looks that may fail in a row: a server may be restarted meanwhile
OLD = (1980, 1, 1, 0, 0, 0)  # the same folder makes the same archive whenever it is packed


@click.command()
@click.argument("kind")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
              help="Where the result goes.")  # fmt: skip
@click.option("--text", "column", help="The column with the text.  [default: text]")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it is there.")
@click.option("--again", is_flag=True, help="Read it anew, even if the same was read before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--url", envvar="MAILROOM_URL", help="[default: where `mailroom up` runs]")
@click.option("--token", envvar="MAILROOM_TOKEN", help="[default: the token of `mailroom up`]")
def command(
    kind: str,
    source: Path,
    output: Path,
    column: str | None,
    overwrite: bool,
    again: bool,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Read every row of INPUT as a document of KIND and write the rows with the answers to OUTPUT.

    INPUT is CSV, JSON lines, Parquet, a ZIP or a folder of files (the result is JSON lines then).
    Cells of yours that begin with = + - @ stay as they are; ours never begin so. Stopped in the
    middle, the same command goes on where it was.
    """
    from commands.submit import client_of

    if output.exists() and not overwrite:
        raise click.UsageError(f"{output} is there already: choose another, or --overwrite.")
    batch: dict[str, Any] = {}
    try:
        with client_of(url, token) as client, packed(source) as path:
            batch = handed_in(client, path, source.name, kind, column, again)
            if batch["state"] in ("paused", "failed") and batch["repeated"]:
                batch = asked(client, "POST", f"{PLACE}/{batch['id']}/resume")
            batch = watched(client, batch)
            if batch["state"] == "done":
                fetch(client, batch, output)
    except KeyboardInterrupt:
        click.echo(f"\n{how_to_go_on(batch)}", err=True)
        sys.exit(130)
    report(batch, output, as_json)
    sys.exit(batch["state"] != "done")


@contextmanager
def packed(source: Path) -> Iterator[Path]:
    """Lend the file to send: the input itself, or a folder's files in a ZIP."""
    if not source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        path = Path(folder) / "folder.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in files_of(source):
                member = zipfile.ZipInfo(file.relative_to(source).as_posix(), OLD)
                member.compress_type = zipfile.ZIP_DEFLATED
                with file.open("rb") as stream, archive.open(member, "w", force_zip64=True) as out:
                    while piece := stream.read(PIECE_BYTES):
                        out.write(piece)
        yield path


def files_of(folder: Path) -> Iterator[Path]:
    """Yield a folder's files, deep and sorted; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path


def handed_in(
    client: httpx.Client, path: Path, name: str, kind: str, column: str | None, again: bool
) -> dict[str, Any]:
    """Send the file and return its batch; the same file and options find the same batch."""
    key = hashlib.sha256(json.dumps([kind, column, name]).encode())
    with path.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            key.update(piece)
    if again:
        key.update(os.urandom(16))
    headers = {"Idempotency-Key": f"batch-{key.hexdigest()}"}
    data = {"kind": kind} | ({"text_column": column} if column else {})
    if path.suffix == ".zip" and not name.endswith(".zip"):
        name += ".zip"
    with path.open("rb") as stream:
        batch = asked(client, "POST", PLACE, files={"file": (name, stream)}, data=data,
                      headers=headers, timeout=UPLOAD_SECONDS)  # fmt: skip
    if batch["repeated"] and batch["state"] == "cancelled":
        return handed_in(client, path, name, kind, column, True)
    return batch


def watched(client: httpx.Client, batch: dict[str, Any]) -> dict[str, Any]:
    """Show a batch's progress until it is finished; returns it as it is then."""
    bar = Bar(sys.stderr.isatty())
    place = f"{PLACE}/{batch['id']}"
    pause, silent = SHORTEST_PAUSE, 0
    while True:
        bar.show(batch)
        if batch["state"] in FINISHED:
            bar.end()
            return batch
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)
        try:
            batch.update(asked(client, "GET", place))
            silent = 0
        except Silent:
            silent += 1
            if silent > SILENT_TRIES:
                raise


class Silent(click.ClickException):
    """The server does not answer."""


def asked(client: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """Return an answer's object; a refusal ends the command with its sentence."""
    import httpx

    try:
        answer = client.request(method, path, **request)
    except httpx.HTTPError as error:
        message = f"{client.base_url} does not answer ({type(error).__name__})."
        raise Silent(message) from error
    try:
        body: dict[str, Any] = answer.json()
    except ValueError as error:
        raise click.ClickException("What answers there is not Mailroom.") from error
    if not answer.is_success:
        raise click.ClickException(str(body.get("detail", answer.status_code)))
    return body


def fetch(client: httpx.Client, batch: dict[str, Any], output: Path) -> None:
    """Download the result beside its place and move it there when it is whole."""
    import httpx

    part = output.with_name(f".{output.name}.part")
    try:
        with (
            client.stream("GET", f"{PLACE}/{batch['id']}/result") as answer,
            part.open("wb") as out,
        ):
            if not answer.is_success:
                raise click.ClickException(f"The result cannot be had ({answer.status_code}).")
            for piece in answer.iter_bytes(PIECE_BYTES):
                out.write(piece)
        if part.stat().st_size != batch["result_size"]:
            raise click.ClickException("The result did not arrive whole: run the command again.")
        part.replace(output)
    except (httpx.HTTPError, OSError) as error:
        raise click.ClickException(f"The result cannot be written: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


def how_to_go_on(batch: dict[str, Any]) -> str:
    """Return what to do after Ctrl-C."""
    if not batch:
        return "Stopped before the upload was answered; the same command begins or goes on."
    return (
        f"The batch goes on without you ({batch['id']}). The same command waits for it again and "
        f"fetches the result; to stop it, POST {PLACE}/{batch['id']}/cancel or use the page "
        "/batches."
    )


def report(batch: dict[str, Any], output: Path, as_json: bool) -> None:
    """Say how it ended."""
    if as_json:
        said = batch | {"output": str(output) if batch["state"] == "done" else None}
        click.echo(json.dumps(said, ensure_ascii=False))
    elif batch["state"] == "done":
        failed = f", {batch['rows_failed']:,} with an error" if batch["rows_failed"] else ""
        click.echo(f"{output}: {batch['rows_done']:,} rows{failed}")
    else:
        click.echo(f"{batch['state']}: {(batch['error'] or {}).get('message', '')}", err=True)


class Bar:
    """Progress on standard error: a line that changes, or one now and then in a file."""

    WIDTH = 30

    def __init__(self, live: bool) -> None:
        self.live = live
        self.said_at = 0.0
        self.length = 0

    def show(self, batch: dict[str, Any]) -> None:
        """Say how far the batch is."""
        now = time.monotonic()
        if not self.live and now - self.said_at < 10 and batch["state"] not in FINISHED:
            return
        self.said_at = now
        line = self.line(batch)
        if self.live:
            click.echo("\r" + line.ljust(self.length), err=True, nl=False)
            self.length = len(line)
        else:
            click.echo(line, err=True)

    def line(self, batch: dict[str, Any]) -> str:
        """Return rows done, rate and time left."""
        done, total, rate = batch["rows_done"], batch["rows_total"], batch["rate"]
        said = [f"{done:,} rows" if total is None else f"{done:,} of {total:,} rows"]
        if rate:
            said.append(f"{rate:,.0f} rows a second")
        if batch["seconds_left"] is not None and batch["state"] not in FINISHED:
            minutes, seconds = divmod(int(batch["seconds_left"]) + 1, 60)
            said.append(f"{minutes}:{seconds:02d} left")
        if batch["state"] != "running":
            said.append(batch["state"])
        share = done / total if total else float(batch["state"] == "done")
        filled = int(self.WIDTH * min(1.0, share))
        return f"[{'#' * filled}{'.' * (self.WIDTH - filled)}] " + ", ".join(said)

    def end(self) -> None:
        """End the line."""
        if self.live:
            click.echo("", err=True)
