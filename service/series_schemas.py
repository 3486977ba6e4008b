"""What the series' part of the API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.schemas import Parameters, State

Task = Literal["demand", "fraud"]
Verdict = Literal["open", "confirmed", "dismissed"]


class JobFailure(BaseModel):
    """Why a job failed; `row` counts the table's rows from 1, where one is to blame."""

    code: str
    message: str
    row: int | None = None


class JobOutput(BaseModel):
    """A file that a job left."""

    name: str
    size: int = Field(description="Bytes.")


class JobSummary(BaseModel):
    """A table that is forecast or scored, and how far that is."""

    id: str
    task: str
    state: State
    name: str
    input_name: str
    input_size: int | None
    options: dict[str, Any]
    progress: dict[str, Any] | None = Field(description="The step it is at.")
    result: dict[str, Any] | None
    error: JobFailure | None
    attempts: int
    outputs: list[JobOutput]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    repeated: bool = Field(description="The Idempotency-Key had been used for this job.")


class JobList(BaseModel):
    """One page of a list, newest first."""

    items: list[JobSummary]
    after: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class AlertSummary(BaseModel):
    """A payment that looks like fraud, and what people said of it."""

    id: str
    job_id: str | None
    number: str
    card: str
    terminal: str
    paid_at: str
    amount: float
    score: float
    reasons: list[dict[str, Any]]
    state: Verdict
    created_at: datetime


class AlertList(BaseModel):
    """One page of alerts, the highest score first."""

    items: list[AlertSummary]
    after: str | None


class Decision(BaseModel):
    """What somebody says of an alert."""

    model_config = ConfigDict(extra="forbid")

    state: Verdict
    note: str = Field(default="", max_length=2_000)


class TaskPath(Parameters):
    """Which task."""

    task: Task


class JobPath(Parameters):
    """Which job."""

    id: str = Field(description="A job's id.")


class OutputPath(Parameters):
    """Which output of which job."""

    id: str = Field(description="A job's id.")
    name: str = Field(description="An output's name, such as forecast.parquet.")


class AlertPath(Parameters):
    """Which alert."""

    id: str = Field(description="An alert's id.")


class JobQuery(Parameters):
    """Which jobs, and how many."""

    model_config = ConfigDict(extra="forbid")

    task: Task | None = None
    state: State | None = None
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=500)


class AlertQuery(Parameters):
    """Which alerts, and how many."""

    model_config = ConfigDict(extra="forbid")

    job: str | None = Field(default=None, max_length=100, description="Else of scored payments.")
    state: Verdict | None = None
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=500)


class FormatQuery(Parameters):
    """In which form a table is wanted."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["parquet", "csv"] | None = None


SERIES_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary", "minLength": 1},
                    "demonstration": {
                        "type": "string",
                        "enum": ["yes"],
                        "description": "Instead of a file: a table of our own making.",
                    },
                    "horizon": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "series": {"type": "string", "description": "Columns, with commas."},
                    "time": {"type": "string"},
                    "target": {"type": "string"},
                    "known": {"type": "string", "description": "Known ahead, with commas."},
                    "short": {"type": "number", "description": "What a missing unit costs."},
                    "holding": {"type": "number", "description": "What a unit over costs."},
                    "card": {"type": "string"},
                    "terminal": {"type": "string"},
                    "amount": {"type": "string"},
                    "fraud": {"type": "string"},
                    "number": {"type": "string"},
                    "budget": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "fit": {"type": "string", "enum": ["yes"]},
                    "delay": {"type": "integer", "minimum": 0, "maximum": 365},
                    "model": {"type": "string"},
                },
            }
        }
    },
}
