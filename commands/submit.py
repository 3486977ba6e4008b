"""`mailroom submit`: hand documents in over HTTP, as any other program would."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import httpx

FINISHED = ("done", "failed", "cancelled")
TIMEOUT_SECONDS = 60
LONGEST_PAUSE = 2.0  # between two looks at a document that is not finished


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--kind", help="What they are; left out, it is recognised.")
@click.option("--text", help="Hand in this text instead of files.")
@click.option("--wait", is_flag=True, help="Wait until each is read and show what was found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--url", envvar="MAILROOM_URL", help="[default: where `mailroom up` runs]")
@click.option("--token", envvar="MAILROOM_TOKEN", help="[default: the token of `mailroom up`]")
def command(
    files: tuple[Path, ...],
    kind: str | None,
    text: str | None,
    wait: bool,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Hand FILES in; exit status 1 if one was refused or could not be read.

    A file named - is standard input.
    """
    if not files and text is None:
        raise click.UsageError("Name at least one file, or give --text.")
    with client_of(url, token) as client:
        results = [one_file(client, file, kind, wait) for file in files]
        if text is not None:
            said = {"text": text} | ({"kind": kind} if kind else {})
            results.append({"file": None} | handed_in(client, wait, json=said))
    if as_json:
        click.echo(json.dumps({"documents": results}, ensure_ascii=False))
    else:
        for result in results:
            click.echo(line_of(result))
    sys.exit(any(failed(result) for result in results))


def client_of(url: str | None, token: str | None) -> httpx.Client:
    """Return a client for the given server, or for the one that runs on this machine."""
    import httpx

    if url is None or token is None:
        found = running_here()
        url, token = url or found.get("url"), token or found.get("token")
    if not url or not token:
        raise click.ClickException("Is Mailroom running? Start `mailroom up`, or give --url "
                                   "and --token.")  # fmt: skip
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_SECONDS)


def running_here() -> dict[str, Any]:
    """Return what `mailroom up` wrote of itself, or nothing when it does not run."""
    from settings import Settings

    path = Settings().data_dir.expanduser() / "run" / "up.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def one_file(client: httpx.Client, file: Path, kind: str | None, wait: bool) -> dict[str, Any]:
    """Hand a file in and return its document, or the error, with the file's name."""
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        message = f"It cannot be opened: {error.strerror}."
        return {"file": str(file), "error": {"code": "unreadable_file", "message": message}}
    name = "standard input" if str(file) == "-" else file.name
    data = {"kind": kind} if kind else {}
    return {"file": str(file)} | handed_in(client, wait, files={"file": (name, body)}, data=data)


def handed_in(client: httpx.Client, wait: bool, **request: Any) -> dict[str, Any]:
    """Post a document and return it, finished if `wait`; a refusal is its `error`."""
    import httpx

    try:
        answer = client.post("/api/v1/documents", **request)
        document = read(answer)
        pause = 0.02
        while wait and "state" in document and document["state"] not in FINISHED:
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            document = read(client.get(answer.headers["Location"]))
    except httpx.HTTPError as error:
        message = f"{client.base_url} does not answer ({type(error).__name__})."
        raise click.ClickException(message) from error
    return document


def read(answer: httpx.Response) -> dict[str, Any]:
    """Return an answer's document, or its problem as an error."""
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        body = {"code": "not_mailroom", "detail": "What answers there is not Mailroom."}
    if answer.is_success:
        return body
    return {"error": {"code": body.get("code", ""), "message": body.get("detail", "")}}


def failed(result: dict[str, Any]) -> bool:
    """Say whether a document was refused or not read."""
    return bool(result.get("error")) or result.get("state") == "cancelled"


def line_of(result: dict[str, Any]) -> str:
    """Return a result as a line for a person."""
    name = result["file"] or "text"
    if result.get("error"):
        return f"{name}: {result['error']['message']}"
    said = [result["kind"] or "kind not known yet"]
    for head, label in ((result.get("outcome") or {}).get("labels") or {}).items():
        doubt = ", needs review" if label.get("needs_review") else ""
        said.append(f"{head} {label['value']} ({label['confidence']:.0%}{doubt})")
    entities = (result.get("outcome") or {}).get("entities") or []
    if entities:
        said.append(f"{len(entities)} marked passages")
    return f"{name}: {result['state']}, {', '.join(said)}  [{result['id']}]"
