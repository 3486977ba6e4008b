"""The tables as the newest migration leaves them; a test holds the two together.

`owed` is narrow and apart from `documents`: claiming touches small rows only. `results` is
append-only: a document's current one is named by `documents.result_id`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from ledger.columns import Id, Instant, Json

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _document_id(*, unique: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(
        "document_id",
        Id,
        ForeignKey("documents.id", ondelete="CASCADE"),
        primary_key=primary_key,
        unique=unique or None,
        nullable=False,
    )


documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("kind", Text),  # said, or recognised by a reader
    Column("kind_said", Text),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("type", Text),  # sniffed from the bytes
    Column("source", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("in_files", Boolean, nullable=False),  # else the body is a row of `bodies`
    Column("parent_id", Id),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("needs_review", Boolean),
    Column("characters", Integer),
    Column("pages", Integer),
    Column("mail", Json),  # without its texts: those are in `readings`
    Column("envelope", Json),
    Column("result_id", Id),
    Column("idempotency_key", Text),  # its sha256: a key may be longer than an index takes
    Column("request_hash", Text),
    UniqueConstraint("workspace", "idempotency_key"),
)
# The column's foreign key looks at its own table; deferrable, as a restore adds rows in any order
documents.c.parent_id.append_foreign_key(
    ForeignKey("documents.id", ondelete="SET NULL", deferrable=True, initially="IMMEDIATE")
)
Index("ix_documents_workspace_id", documents.c.workspace, documents.c.id)
Index("ix_documents_workspace_state_id", documents.c.workspace, documents.c.state, documents.c.id)
Index(
    "ix_documents_needs_review",
    documents.c.workspace,
    documents.c.id,
    sqlite_where=text("needs_review = 1"),
    postgresql_where=text("needs_review"),
)
Index(
    "ix_documents_parent_id",
    documents.c.parent_id,
    sqlite_where=text("parent_id IS NOT NULL"),
    postgresql_where=text("parent_id IS NOT NULL"),
)
Index(
    "ix_documents_sha256_in_files",
    documents.c.sha256,
    sqlite_where=text("in_files = 1"),
    postgresql_where=text("in_files"),
)

bodies = Table(
    "bodies",
    metadata,
    _document_id(primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

readings = Table(
    "readings",
    metadata,
    _document_id(primary_key=True),
    Column("text", Text),
    Column("mail_text", Text),
    Column("mail_reply_text", Text),
)

owed = Table(
    "owed",
    metadata,
    Column("id", Id, primary_key=True),  # new with every retry: an old lease cannot finish it
    _document_id(unique=True),
    Column("workspace", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("kind_said", Text),
    Column("priority", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("deadline", Instant),
    Column("rank", BigInteger, nullable=False),  # smaller is sooner: ledger/rank.py
    Column("attempts", Integer, nullable=False),
    # When it may be claimed: now, after a pause, or when its lease lapses
    Column("free_at", BigInteger, nullable=False),
    Column("holder", Text),  # whose lease it is, or was until it lapsed
    Column("error", Json),  # of the attempt that was put off
    Column("created_at", BigInteger, nullable=False),
)
Index("ix_owed_queue_rank_id", owed.c.queue, owed.c.rank, owed.c.id)
Index("ix_owed_queue_free_at", owed.c.queue, owed.c.free_at)

results = Table(
    "results",
    metadata,
    Column("id", Id, primary_key=True),
    _document_id(),
    Column("workspace", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text),
    Column("outcome", Json),
    Column("error", Json),
    Column("model_name", Text),
    Column("model_version", Text),
    Column("created_at", Instant, nullable=False),
    Column("vector", LargeBinary),  # of the text, among the examples that the version keeps
)
Index("ix_results_document_id", results.c.document_id)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    _document_id(),
    Column("workspace", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("free_at", BigInteger),  # as in `owed`; NULL once it is final
    Column("holder", Text),
    Column("log", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
Index("ix_deliveries_document_id", deliveries.c.document_id)
Index("ix_deliveries_workspace_id", deliveries.c.workspace, deliveries.c.id)
Index(
    "ix_deliveries_free_at",
    deliveries.c.free_at,
    deliveries.c.id,
    sqlite_where=text("free_at IS NOT NULL"),
    postgresql_where=text("free_at IS NOT NULL"),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Id, primary_key=True),
    _document_id(),
    Column("workspace", Text, nullable=False),
    Column("kind", Text),
    Column("head", Text, nullable=False),
    Column("value", Json, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("ix_corrections_document_id", corrections.c.document_id)
Index("ix_corrections_workspace_id", corrections.c.workspace, corrections.c.id)

promotions = Table(
    "promotions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("version", Text),  # active from here on; NULL: none, the shipped one
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("ix_promotions_name_id", promotions.c.name, promotions.c.id)

# A version of a trained model, packed in one file of the store
models = Table(
    "models",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("workspace", Text, nullable=False),  # whose name it is, and who may see it
    Column("actor", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("facts", Json, nullable=False),  # heads, scores, data and licence, as its config has
    Column("created_at", Instant, nullable=False),
)
Index("ix_models_sha256", models.c.sha256)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("document_id", Id),  # no foreign key: the line outlives the document
    Column("detail", Json),
    Column("created_at", Instant, nullable=False),
)
Index("ix_audit_workspace_id", audit.c.workspace, audit.c.id)
Index("ix_audit_document_id", audit.c.document_id)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("scopes", Json, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
    Column("revoked_at", Instant),
    # What it may hand in; NULL: as much as it likes
    Column("documents_a_minute", BigInteger),
    Column("bytes_a_minute", BigInteger),
    Column("documents_a_day", BigInteger),
    Column("bytes_a_day", BigInteger),
)
Index("ix_tokens_workspace_id", tokens.c.workspace, tokens.c.id)

token_uses = Table(
    "token_uses",
    metadata,
    Column("token_id", Id, ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("period", Text, primary_key=True),  # minute or day
    Column("number", BigInteger, nullable=False),  # which one since 1970 the counts are of
    Column("documents", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

pulses = Table(
    "pulses",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("beat_at", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
)

tallies = Table(
    "tallies",
    metadata,
    Column("queue", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),  # each five seconds long
    Column("finished", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
)
Index("ix_tallies_bucket", tallies.c.bucket)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("token_id", Id),  # on whose quota its rows are counted
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("text_column", Text),
    Column("state", Text, nullable=False),
    Column("error", Json),
    Column("layout", Json),  # what the first look at the input found; the workers' business
    Column("input_sha256", Text, nullable=False),
    Column("input_size", BigInteger, nullable=False),
    Column("rows_total", BigInteger),  # NULL until the input was cut up to its end
    Column("rows_done", BigInteger, nullable=False),
    Column("rows_failed", BigInteger, nullable=False),
    Column("output_sha256", Text),
    Column("output_size", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("turn_at", BigInteger, nullable=False),  # when a chunk of it was last claimed
    Column("idempotency_key", Text),
    Column("request_hash", Text),
    UniqueConstraint("workspace", "idempotency_key"),
)
Index("ix_batches_workspace_id", batches.c.workspace, batches.c.id)
Index(
    "ix_batches_turn_at",
    batches.c.turn_at,
    batches.c.id,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)

batch_chunks = Table(
    "batch_chunks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("workspace", Text, nullable=False),
    Column("stage", Text, nullable=False),  # split, read or merge
    Column("first_row", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("skip", Integer, nullable=False),  # rows of its input file that come before its own
    Column("input_sha256", Text),
    Column("output_sha256", Text),
    Column("state", Text, nullable=False),
    Column("rows_failed", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("free_at", BigInteger),  # as in `owed`; NULL once it is final
    Column("holder", Text),
    Column("error", Json),
    Column("cursor", Json),  # how far the split has come
    Column("finished_at", Instant),
    UniqueConstraint("batch_id", "stage", "first_row"),
)
Index(
    "ix_batch_chunks_free_at",
    batch_chunks.c.batch_id,
    batch_chunks.c.stage,
    batch_chunks.c.first_row,
    sqlite_where=text("free_at IS NOT NULL"),
    postgresql_where=text("free_at IS NOT NULL"),
)
Index("ix_batch_chunks_finished_at", batch_chunks.c.batch_id, batch_chunks.c.finished_at)

mailboxes = Table(
    "mailboxes",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("detail", Json),  # why it is in that state, as {"code", "message"}
    Column("described", Json),  # host, user and folders, for people to see
    Column("secret", Text),  # password or tokens, sealed with a key that is not in the ledger
    Column("holder", Text),
    Column("free_at", BigInteger, nullable=False),  # as in `owed`: when another may read it
    Column("changed_at", Instant, nullable=False),
    Column("read_at", Instant),
)

mailbox_folders = Table(
    "mailbox_folders",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("folder", Text, primary_key=True),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("last_uid", BigInteger, nullable=False),  # everything up to it was taken or set aside
    Column("waiting", BigInteger, nullable=False),
    Column("lag", BigInteger),  # microseconds between the last mail's arrival and its commit
    Column("read_at", Instant, nullable=False),
)

mailbox_mails = Table(
    "mailbox_mails",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # seen; aside, or again once a person asked for it
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE")),
    Column("mark", Text),  # knows the mail again by its header and size alone
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Json),
    Column("seen_at", Instant, nullable=False),
    UniqueConstraint("workspace", "account", "folder", "uidvalidity", "uid"),
)
Index("ix_mailbox_mails_workspace_id", mailbox_mails.c.workspace, mailbox_mails.c.id)
Index("ix_mailbox_mails_document_id", mailbox_mails.c.document_id)
Index("ix_mailbox_mails_workspace_mark", mailbox_mails.c.workspace, mailbox_mails.c.mark)
Index(
    "ix_mailbox_mails_aside",
    mailbox_mails.c.workspace,
    mailbox_mails.c.account,
    mailbox_mails.c.id,
    sqlite_where=text("document_id IS NULL"),
    postgresql_where=text("document_id IS NULL"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("input_name", Text, nullable=False),
    Column("input_sha256", Text),
    Column("input_size", BigInteger),
    Column("state", Text, nullable=False),
    Column("progress", Json),  # what the task last said of how far it is
    Column("result", Json),
    Column("error", Json),
    Column("attempts", Integer, nullable=False),
    Column("free_at", BigInteger),  # as in `owed`; NULL once it is final
    Column("holder", Text),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("idempotency_key", Text),
    Column("request_hash", Text),
    UniqueConstraint("workspace", "idempotency_key"),
)
Index("ix_jobs_workspace_id", jobs.c.workspace, jobs.c.id)
Index(
    "ix_jobs_queue_free_at",
    jobs.c.queue,
    jobs.c.free_at,
    jobs.c.id,
    sqlite_where=text("free_at IS NOT NULL"),
    postgresql_where=text("free_at IS NOT NULL"),
)

job_outputs = Table(
    "job_outputs",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
)
Index("ix_job_outputs_sha256", job_outputs.c.sha256)

# Card payments that are scored as they come; `id` is the order in which they were handed in
payments = Table(
    "payments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("number", Text, nullable=False),  # the sender's own, once in a workspace
    Column("card", Text, nullable=False),
    Column("terminal", Text, nullable=False),
    Column("paid_at", Text, nullable=False),  # as it was sent: the till's own clock
    Column("amount", Float, nullable=False),
    Column("is_owed", Boolean, nullable=False),  # a score, or a label to be learnt from
    Column("score", Float),
    Column("answer", Json),  # alert, reasons and history, or the error
    Column("is_fraud", Boolean),  # what became known of it later
    Column("is_learned", Boolean, nullable=False),  # the histories count it as a fraud
    Column("created_at", Instant, nullable=False),
    Column("scored_at", Instant),
    UniqueConstraint("workspace", "number"),
)
Index("ix_payments_workspace_card_id", payments.c.workspace, payments.c.card, payments.c.id)
Index(
    "ix_payments_owed",
    payments.c.workspace,
    payments.c.id,
    sqlite_where=text("is_owed = 1"),
    postgresql_where=text("is_owed"),
)

payment_states = Table(
    "payment_states",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # card or terminal
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # only who read this one may write the next
    Column("state", Json, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("payment_id", Id, ForeignKey("payments.id", ondelete="CASCADE"), unique=True),
    Column("number", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("terminal", Text, nullable=False),
    Column("paid_at", Text, nullable=False),
    Column("amount", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("reasons", Json, nullable=False),
    Column("state", Text, nullable=False),  # open, confirmed or dismissed
    Column("created_at", Instant, nullable=False),
)
Index("ix_alerts_job_id", alerts.c.job_id)
Index("ix_alerts_workspace_state_score", alerts.c.workspace, alerts.c.state, alerts.c.score)

alert_decisions = Table(
    "alert_decisions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("alert_id", Id, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("workspace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("ix_alert_decisions_alert_id", alert_decisions.c.alert_id)
