"""`mailroom predict`: read documents in this process, with no queue and nothing kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from workers.reading import Readers, Reading


@click.command()
@click.argument("model")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--text", multiple=True, help="A text to read; may be said more than once.")
@click.option(
    "--neighbours",
    type=click.IntRange(0, 50),
    default=0,
    metavar="N",
    help="Also the N most similar labelled examples, of a model of your own.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    model: str, files: tuple[Path, ...], text: tuple[str, ...], neighbours: int, as_json: bool
) -> None:
    """Read FILES (or --text, or standard input) with MODEL.

    MODEL is a kind, a shipped or trained name, NAME@VERSION or a folder; `auto` recognises the
    kind of each document. A document that cannot be read is an answer too.
    """
    from intake import Limits
    from ledger.errors import LedgerError
    from nlp.errors import ReadingError
    from sequence.errors import SequenceError
    from settings import Settings
    from workers.addresses import models_folder
    from workers.logs import configure
    from workers.reading import Incoming, Readers
    from workers.trained import at_work

    settings = Settings()
    configure(settings)
    documents: list[tuple[str, bytes | str]] = [(str(file), _body(file)) for file in files]
    documents += [(f"text {i + 1}", words) for i, words in enumerate(text)]
    if not documents:
        documents = [("standard input", sys.stdin.read())]
    models_dir = models_folder(settings)
    try:
        name, version = _resolve(at_work(settings, model), models_dir)
    except (ReadingError, LedgerError) as error:
        click.echo(f"mailroom predict: {error}", err=True)
        sys.exit(2)
    readers = Readers(
        models_dir=models_dir,
        limits=Limits(
            bytes=settings.upload_bytes,
            memory_bytes=settings.parse_memory_bytes,
            seconds=settings.parse_seconds,
            characters=settings.text_characters,
        ),
        active=lambda _: version,
        device=lambda: settings.device,
        threads=settings.threads,
    )
    try:
        incoming = [Incoming(body, kind=name, name=Path(n).name) for n, body in documents]
        readings = readers.read(incoming, vectors=neighbours > 0)
        found = [
            _answer(n, r) | _similar(readers, name, r, neighbours)
            for (n, _), r in zip(documents, readings, strict=True)
            if r is not None
        ]
    except (ReadingError, SequenceError) as error:
        click.echo(f"mailroom predict: {error}", err=True)
        sys.exit(2)
    finally:
        readers.close()
    if as_json:
        click.echo(json.dumps({"results": found}, ensure_ascii=False))
    else:
        for result, reading in zip(found, readings, strict=True):
            _print(result, reading)


def _body(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from error


def _resolve(model: str, models_dir: Path) -> tuple[str | None, str | None]:
    """Return the name to read with and its version; no name: recognise the kind."""
    from nlp import kinds
    from nlp.weights import find

    if model == "auto":
        return None, None
    folder = find(model, models_dir)
    if model in kinds.names():
        return model, None
    return str(folder), folder.name


def _answer(name: str, reading: Reading) -> dict[str, Any]:
    answer: dict[str, Any] = {"document": name, "type": reading.type}
    if reading.error is not None:
        return answer | {"error": reading.error}
    return answer | {"outcome": reading.outcome}


def _similar(readers: Readers, name: str | None, reading: Reading, count: int) -> dict[str, Any]:
    """Return the labelled examples beside a document; nothing unless they were asked for."""
    if not count or reading.error is not None:
        return {}
    if name is None or reading.vector is None:
        return {"neighbours": []}
    near = readers.reader(name).nearest(reading.vector, count)
    return {"neighbours": [one.to_json() for one in near]}


def _print(result: dict[str, Any], reading: Reading | None) -> None:
    if "error" in result:
        click.echo(f"{result['document']}: {result['error']['message']}")
        return
    outcome = result["outcome"]
    model = outcome["model"]
    click.echo(f"{result['document']}: {outcome['kind']} ({model['name']} {model['version']})")
    for head, label in outcome["labels"].items():
        doubt = "  needs review" if label["needs_review"] else ""
        score = f", score {label['score']:+.2f}" if "score" in label else ""
        click.echo(f"  {head}: {label['value']} ({label['confidence']:.0%}{score}){doubt}")
        text = reading.text if reading is not None and reading.text else ""
        shown = [text[e["start"] : e["end"]] for e in label["evidence"][:5]]
        if shown:
            click.echo("    because of: " + ", ".join(f"“{words}”" for words in shown))
    for entity in outcome["entities"][:40]:
        value = entity["value"] or ""
        click.echo(f"  {entity['label']} [{entity['start']}:{entity['end']}] {value}")
    for near in result.get("neighbours", []):
        how = f"{near['similarity']:.2f} alike, row {near['row']}"
        click.echo(f"  {', '.join(near['labels'].values())} ({how}): {near['text']}")
