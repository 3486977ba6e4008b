"""The shadow report as one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from routing.agreement import Agreement
from service import shadow_plots, words

HERE = Path(__file__).parent
# beside the pages' own style: what the drawings need
DRAWINGS = """
svg .axis, svg .level { fill: none; stroke: var(--field); }
svg .level { stroke-dasharray: 4 4; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .key { font-weight: 600; }
svg polyline { fill: none; stroke-width: 2; }
""" + "".join(
    f"polyline.c{i} {{ stroke: var(--{name}); }} .c{i}:not(polyline) {{ fill: var(--{name}); }}\n"
    for i, name in enumerate(("accent", "plot-2", "plot-3", "plot-4", "plot-5", "plot-6"), start=1)
)


def render(agreement: Agreement, *, version: str | None) -> str:
    """Return the file; `version` is that of the rules, None where there were none."""
    environment = _environment()
    figures = {
        name: _figure(environment, drawn, caption, rows)
        for name, (drawn, caption, rows) in shadow_plots.in_file(agreement).items()
    }
    style = (HERE / "static" / "mailroom.css").read_text(encoding="utf-8") + DRAWINGS
    return environment.get_template("shadow_file.html").render(
        report=agreement,
        figures=figures,
        style=Markup(style),  # noqa: S704 - our own
        version=version,
        made=datetime.now(UTC),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (words.number, words.percent, words.phrase):
        environment.filters[filter_.__name__] = filter_
    return environment


def _figure(
    environment: Environment, drawn: Markup, caption: str, rows: list[dict[str, Any]]
) -> Markup:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    template = environment.get_template("shadow_plot.html")
    made = template.render(drawn=drawn, caption=caption, rows=rows, columns=columns)
    return Markup(made)  # noqa: S704 - the template escapes every value
