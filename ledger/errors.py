"""What the ledger refuses, and what it says about it.

LedgerError
├── NotFound              no such thing, or it belongs to another workspace
├── NotRead               the document has no text (yet)
├── NotRetryable          the document is still waiting or running
├── NotCancellable        the document is finished already
├── NotPausable           the batch is finished or cancelled already
├── NotResumable          the batch is neither paused nor failed
├── InvalidCursor         `after` is not a place in a list
├── IdempotencyConflict   the same key came before with another body or kind
├── TooMuchOwed           so much waits that nothing more is taken for now
│   └── QuotaExceeded     the token handed in as much as it may for now
├── InvalidToken          unknown, expired or revoked
├── NameTaken             the model's name belongs to another workspace, or the version is there
├── ModelAtWork           the version reads documents: another must be put to work first
├── Forbidden             the viewer's scopes do not cover this
├── BodyMissing           the original's bytes are gone from the file store
│   └── BodyDamaged       its bytes are not the ones that were stored
├── StorageFull           the disk or the quota is full; nothing was half-written
├── LedgerBusy            another writer held the database for too long
├── LedgerUnreachable     the database or the file store does not answer
├── BackupError           the archive cannot be written or read
└── TargetNotEmpty        a restore would mix with what is there
"""

from __future__ import annotations


class LedgerError(Exception):
    """Something the ledger cannot do; `code` is for programs and never changes."""

    code = "ledger_error"


class NotFound(LedgerError):
    """There is no such thing in the viewer's workspace."""

    code = "not_found"


class NotRead(LedgerError):
    """The document has no text (yet)."""

    code = "not_read"


class NotRetryable(LedgerError):
    """Only a finished document can be owed again."""

    code = "not_retryable"


class NotCancellable(LedgerError):
    """The document is finished: there is nothing left to cancel."""

    code = "not_cancellable"


class NotPausable(LedgerError):
    """The batch is not one that still runs."""

    code = "not_pausable"


class NotResumable(LedgerError):
    """Only a paused or failed batch can go on."""

    code = "not_resumable"


class InvalidCursor(LedgerError):
    """`after` is not a value that a page of this list gave."""

    code = "invalid_cursor"


class IdempotencyConflict(LedgerError):
    """This key was used for another body or kind."""

    code = "idempotency_conflict"


class TooMuchOwed(LedgerError):
    """So many documents wait that no more are taken; try again in `retry_after` seconds."""

    code = "too_much_owed"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(TooMuchOwed):
    """The token handed in as much as it may in this minute, or on this day."""

    code = "quota_exceeded"


class InvalidToken(LedgerError):
    """The token is unknown, expired or revoked; which of them is not said."""

    code = "invalid_token"


class NameTaken(LedgerError):
    """Another workspace has a model of this name, or this version is kept already."""

    code = "name_taken"


class ModelAtWork(LedgerError):
    """The version is active; put another to work, or roll back, before it is erased."""

    code = "model_at_work"


class Forbidden(LedgerError):
    """The viewer's scopes do not cover this."""

    code = "forbidden"


class BodyMissing(LedgerError):
    """The original's bytes are not in the file store."""

    code = "body_missing"


class BodyDamaged(BodyMissing):
    """The file store's bytes are not those that were stored."""

    code = "body_damaged"


class StorageFull(LedgerError):
    """The disk or the quota is full; nothing was half-written."""

    code = "storage_full"


class LedgerBusy(LedgerError):
    """Another writer held the database longer than we wait."""

    code = "ledger_busy"


class LedgerUnreachable(LedgerError):
    """The database or the file store does not answer."""

    code = "ledger_unreachable"


class BackupError(LedgerError):
    """The archive cannot be written, or is not one of ours, or is damaged."""

    code = "backup_error"


class TargetNotEmpty(LedgerError):
    """A restore goes into an empty ledger only."""

    code = "target_not_empty"
