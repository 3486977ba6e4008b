"""`mailroom evaluate`: a model measured on a file of labelled texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head", help="Which question of the model; needed when it has several.")
@click.option("--text", default="text", show_default=True, help="The field with the text.")
@click.option("--label", default="label", show_default=True, help="The field with the label.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(model: str, file: Path, head: str | None, text: str, label: str, as_json: bool) -> None:
    """Measure MODEL (a name, NAME@VERSION or a folder) on FILE.

    Exit status 0 when it was scored, 2 when the file or the model cannot be used.
    """
    from nlp.errors import ReadingError
    from nlp.evaluation import evaluate_file
    from sequence.device import set_threads
    from sequence.errors import SequenceError
    from settings import Settings
    from workers.addresses import models_folder

    settings = Settings()
    set_threads(settings.threads)
    try:
        found = evaluate_file(
            model,
            file,
            models_dir=models_folder(settings),
            head=head,
            text=text,
            label=label,
            device=settings.device,
        )
    except (ReadingError, SequenceError) as error:
        if as_json:
            click.echo(json.dumps({"error": {"code": error.code, "message": str(error)}}))
        else:
            click.echo(f"mailroom evaluate: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(found.figures))
        return
    for name, value in found.figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        click.echo(f"{name:<28}{shown}")
