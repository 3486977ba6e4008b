"""What the API takes and gives, as its OpenAPI document describes it.

Offsets (`start`, `end`) count Unicode code points of the document's text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["waiting", "running", "done", "failed", "cancelled"]
BatchState = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]


class Problem(BaseModel):
    """An error, as RFC 9457 has it; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, Any]] | None = None
    retry_after: float | None = None


class Failure(BaseModel):
    """Why a document could not be read; the message says what to do."""

    code: str
    message: str


class Evidence(BaseModel):
    """A stretch of the text that spoke for a label; a larger weight spoke louder."""

    start: int
    end: int
    weight: float


class Label(BaseModel):
    """A head's answer with its calibrated confidence."""

    model_config = ConfigDict(extra="allow")

    value: str | None
    confidence: float | None = None
    needs_review: bool | None = None
    evidence: list[Evidence] | None = None


class Entity(BaseModel):
    """A marked stretch of the text."""

    model_config = ConfigDict(extra="allow")

    start: int
    end: int
    label: str
    value: str | None = None
    confidence: float | None = None


class Model(BaseModel):
    """Which model read the document."""

    name: str
    version: str


class Read(BaseModel):
    """How many characters were read, of how many."""

    characters: int
    of: int


class Outcome(BaseModel):
    """What the model says of a document."""

    model_config = ConfigDict(extra="allow")

    kind: str
    labels: dict[str, Label]
    entities: list[Entity]
    language: str | None = None
    model: Model | None = None
    read: Read | None = None
    schema_version: int | str | None = None


class Attachment(BaseModel):
    """A mail's attachment; it is read as a document of its own."""

    name: str
    type: str
    size: int
    sha256: str


class Reading(BaseModel):
    """One attempt that ended: by whom it was read, or why it failed."""

    attempt: int
    created_at: datetime
    kind: str | None
    model: Model | None
    error: Failure | None


class Summary(BaseModel):
    """A document in short, as lists and the answer to a submission give it."""

    id: str
    state: State
    kind: str | None = Field(description="Said by the sender or recognised; null until known.")
    kind_said: str | None
    name: str
    type: str | None = Field(description="text, pdf, docx, eml or html; null until read.")
    source: str
    size: int = Field(description="Bytes of the original.")
    parent_id: str | None = Field(description="The mail that this is an attachment of.")
    created_at: datetime
    finished_at: datetime | None
    attempts: int
    needs_review: bool | None
    error: Failure | None
    repeated: bool = Field(description="The Idempotency-Key had been used for this document.")


class FullDocument(Summary):
    """A document with all that is known of it but its text."""

    media_type: str
    sha256: str
    characters: int | None
    pages: int | None
    outcome: Outcome | None
    mail: dict[str, Any] | None = Field(description="Headers and text of a mail.")
    results: list[Reading] = Field(description="Every result there was, the newest first.")
    children: list[Summary] = Field(description="A mail's attachments, up to 500.")


class Example(BaseModel):
    """A row that the model was trained on, and how like the document it is."""

    labels: dict[str, str]
    similarity: float = Field(description="A cosine: at 1 the model sees no difference.")
    text: str = Field(description="Its beginning, up to 300 characters.")
    row: int = Field(description="Of the file of the training, from 1.")


class Similar(BaseModel):
    """Labelled examples most like a document, the nearest first."""

    model: Model | None = Field(description="Who read the document, and keeps the examples.")
    items: list[Example]


class Documents(BaseModel):
    """One page of a list, newest first."""

    items: list[Summary]
    after: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class BatchSummary(BaseModel):
    """A file that is read row by row, and how far it is."""

    id: str
    state: BatchState
    kind: str
    name: str
    format: Literal["csv", "jsonl", "parquet", "zip"]
    text_column: str | None
    size: int = Field(description="Bytes of the input.")
    rows_total: int | None = Field(description="Null until the input was seen to its end.")
    rows_done: int
    rows_failed: int = Field(description="Rows with an error in the result.")
    rate: float | None = Field(description="Rows a second over the last minute.")
    seconds_left: float | None
    error: Failure | None = Field(description="Why the batch as a whole failed.")
    result_size: int | None = Field(description="Bytes of the result; null until it is done.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    repeated: bool = Field(description="The Idempotency-Key had been used for this batch.")


class Batches(BaseModel):
    """One page of a list, newest first."""

    items: list[BatchSummary]
    after: str | None = Field(description="Send it as `after` for the next page; null at the end.")


class QuotaUse(BaseModel):
    """What a token handed in since a minute or a day (of UTC) began."""

    period: Literal["minute", "day"]
    documents: int = Field(description="Rows of batches are counted when they have been cut off.")
    bytes: int
    ends_at: datetime


class QuotaState(BaseModel):
    """What a token may hand in (null: no limit), and what it did in the limited periods."""

    documents_a_minute: int | None
    bytes_a_minute: int | None
    documents_a_day: int | None
    bytes_a_day: int | None
    uses: list[QuotaUse]


class Submission(BaseModel):
    """A text to read."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, description="For an email this may be the raw message.")
    kind: str | None = Field(default=None, description="Left out, it is recognised.")
    name: str | None = Field(default=None, max_length=255)


class Parameters(BaseModel):
    """What a view takes from an address or from headers.

    flask-openapi3 asks for the schema at every request, and making it costs more than the
    rest of the view: it is made once.
    """

    _schema_made: ClassVar[dict[str, Any]]

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the schema; without arguments, the one that was made first."""
        if args or kwargs:
            return super().model_json_schema(*args, **kwargs)
        if "_schema_made" not in cls.__dict__:
            cls._schema_made = super().model_json_schema()
        return cls._schema_made


class SubmissionHeaders(Parameters):
    """How a submission may be made safe to repeat."""

    idempotency_key: str | None = Field(
        default=None,
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same key and document give the same answer; another document is 422.",
    )


class DocumentPath(Parameters):
    """Which document."""

    id: str = Field(description="A document's id.")


class SimilarQuery(Parameters):
    """How many examples."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=5, ge=1, le=50)


class BatchPath(Parameters):
    """Which batch."""

    id: str = Field(description="A batch's id.")


class BatchQuery(Parameters):
    """Which batches, and how many."""

    model_config = ConfigDict(extra="forbid")

    state: BatchState | None = None
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=500)


class ListQuery(Parameters):
    """Which documents, and how many."""

    # a misspelt filter that is passed over would show the wrong documents
    model_config = ConfigDict(extra="forbid")

    kind: str | None = Field(default=None, max_length=100)
    state: State | None = None
    needs_review: bool | None = None
    source: str | None = Field(default=None, max_length=100)
    parent_id: str | None = Field(default=None, max_length=100)
    name: str | None = Field(default=None, max_length=255, description="Part of a name.")
    limit: int = Field(default=50, ge=1, le=200)
    after: str | None = Field(default=None, max_length=500)


class InboundQuery(Parameters):
    """What a raw message is called."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=255)
