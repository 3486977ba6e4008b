"""Plots on a page: a Vega-Lite specification drawn in the browser, and the table behind it.

Without scripts the table is all there is, so it says the same. Nothing is evaluated as code: the
browser reads the specification with Vega's own interpreter, as our Content-Security-Policy wants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from flask import render_template
from markupsafe import Markup

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name: nothing is fetched
MOST_ROWS = 5_000  # that a browser draws without a pause
MOST_TABLE_ROWS = 500

Row = Mapping[str, Any]


def figure(
    spec: Mapping[str, Any], rows: Sequence[Row], caption: str, *, open_table: bool = False
) -> Markup:
    """Return a figure: the plot of `rows` by a Vega-Lite `spec`, its caption, and the table.

    `spec` has neither `$schema` nor `data`; its fields are names of the rows' columns. Dates and
    times become ISO strings. Raises ValueError for more rows than a browser draws at ease: group
    or thin them before.
    """
    if len(rows) > MOST_ROWS:
        raise ValueError(f"{len(rows):,} rows are too many for a plot; at most {MOST_ROWS:,}.")
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    whole = {"$schema": SCHEMA, "data": {"values": plain}, **spec}
    columns = list(dict.fromkeys(name for row in plain for name in row))
    return Markup(  # noqa: S704 - the template escapes every value
        render_template(
            "plot.html",
            spec=json.dumps(whole, allow_nan=False),
            caption=caption,
            columns=columns,
            rows=plain[:MOST_TABLE_ROWS],
            left_out=max(0, len(plain) - MOST_TABLE_ROWS),
            open_table=open_table,
        )
    )


def _plain(value: Any) -> str | int | float | bool | None:
    """Return a value as JSON has it; what is not a number there (NaN) is missing."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
