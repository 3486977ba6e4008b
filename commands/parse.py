"""`mailroom parse`: what intake makes of files, before any model sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intake import IntakeError, Parsed, Parser

BATCH = 64  # files read ahead, so that one reading process serves many small ones
BATCH_BYTES = 16_000_000


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and file.")
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Show what intake makes of FILES: type, text, and for a mail its parts.

    A file that cannot be read is an answer too: its line holds the error and what to do about
    it. The exit status is 0 whenever every file got its line.
    """
    from intake import Limits, Parser
    from settings import Settings

    settings = Settings()
    limits = Limits(
        bytes=settings.upload_bytes,
        memory_bytes=settings.parse_memory_bytes,
        seconds=settings.parse_seconds,
        characters=settings.text_characters,
    )
    with Parser(limits) as parser:
        for file, result in _parse(parser, files, limits.bytes):
            click.echo(_line(file, result) if as_json else _page(file, result))


def _parse(
    parser: Parser, files: tuple[Path, ...], most_bytes: int
) -> Iterator[tuple[Path, Parsed | IntakeError]]:
    """Yield every file with what became of it, in order."""
    batch: list[tuple[Path, bytes | IntakeError]] = []
    size = 0
    for file in files:
        body = _read(file, most_bytes)
        batch.append((file, body))
        size += len(body) if isinstance(body, bytes) else 0
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield from _parse_batch(parser, batch)
            batch, size = [], 0
    yield from _parse_batch(parser, batch)


def _parse_batch(
    parser: Parser, batch: list[tuple[Path, bytes | IntakeError]]
) -> Iterator[tuple[Path, Parsed | IntakeError]]:
    read = [(body, file.name, "") for file, body in batch if isinstance(body, bytes)]
    results = iter(parser.parse_many(read))
    for file, body in batch:
        yield file, next(results) if isinstance(body, bytes) else body


def _read(file: Path, most_bytes: int) -> bytes | IntakeError:
    """Return a file's bytes, one more than allowed at most: the parser says what is too large."""
    from intake import UnreadableFile

    try:
        with file.open("rb") as stream:
            return stream.read(most_bytes + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        return UnreadableFile(f"This file could not be opened: {reason}.")


def _line(file: Path, result: Parsed | IntakeError) -> str:
    from intake import IntakeError

    found: dict[str, Any] = {
        "file": str(file),
        "type": None,
        "text": None,
        "characters": None,
        "pages": None,
        "error": None,
        "mail": None,
    }
    if isinstance(result, IntakeError):
        found["error"] = result.to_json()
    else:
        parsed = result.to_json()
        found.update({name: parsed[name] for name in found if name in parsed})
    # ASCII: a file's name may hold what no encoding of the output can
    return json.dumps(found)


def _page(file: Path, result: Parsed | IntakeError) -> str:
    from intake import IntakeError

    name = click.style(click.format_filename(file), bold=True)
    if isinstance(result, IntakeError):
        return f"{name}: {click.style(result.code, fg='red')}: {result}\n"
    facts = [result.type, f"{len(result.text):,} characters"]
    if result.pages is not None:
        facts.append(f"{result.pages} pages")
    if result.hidden_characters:
        facts.append(f"{result.hidden_characters} hidden characters left out")
    lines = [f"{name}: {', '.join(facts)}", *(f"  ! {warning}" for warning in result.warnings)]
    mail = result.mail
    if mail is not None:
        lines += [f"  From: {mail.sender or '-'}", f"  To: {', '.join(mail.to) or '-'}"]
        lines += [f"  Subject: {mail.subject or '-'}", f"  Date: {mail.date or '-'}"]
        lines += [
            f"  Attachment: {item.name or '(no name)'}, {item.type}, {item.size:,} bytes"
            for item in mail.attachments
        ]
        flags = [label for label, on in (("automatic", mail.auto_reply), ("bulk", mail.bulk)) if on]
        if mail.bounce:
            kind = "permanent" if mail.bounce.permanent else "temporary"
            flags.append(f"{kind} bounce of {mail.bounce.recipient or 'somebody'}")
        lines += [f"  Recognised: {', '.join(flags)}"] if flags else []
    body = mail.text if mail is not None else result.text
    return "\n".join([*lines, "", body, ""])
