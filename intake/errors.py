"""What intake refuses, and why.

IntakeError
├── EncryptedFile   a password is needed to read it
├── NoText          there is nothing to read: pages are pictures, or the file says nothing
├── EmptyFile       no bytes, or only blanks
├── CorruptFile     damaged, cut short, or not what it claims to be
├── TooLarge        more bytes, pages, characters or parts than the limits allow
├── UnknownType     not a type that Mailroom reads
├── ParseTimeout    reading took longer than the limit
├── ParseMemory     reading wanted more memory than the limit
├── ParseCrashed    the reader of this type died on it
└── UnreadableFile  the system did not hand it over: no such file, no right to read

`code` is for programs and never changes; the sentence is for people, says what to do, and may.
"""

from __future__ import annotations


class IntakeError(Exception):
    """A document that cannot be read; `code` names the reason, `str()` says what to do."""

    code = "intake_error"
    sentence = "This file could not be read."

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)

    def to_json(self) -> dict[str, str]:
        """Return `{"code", "message"}`, as a document of the API keeps it."""
        return {"code": self.code, "message": str(self)}


class EncryptedFile(IntakeError):
    """A password is needed to read this file."""

    code = "encrypted_file"
    sentence = "This file is protected by a password. Remove the protection and send it again."


class NoText(IntakeError):
    """Pages are pictures: no text layer."""

    code = "no_text"
    sentence = (
        "This file holds no text: its pages may be scans or pictures. "
        "Run text recognition (OCR) on it and send the result."
    )


class EmptyFile(IntakeError):
    """No bytes, or nothing but blanks."""

    code = "empty_file"
    sentence = "This file is empty. Check that the right file was saved, and send it again."


class CorruptFile(IntakeError):
    """Damaged, cut short, or not what it claims to be."""

    code = "corrupt_file"
    sentence = (
        "This file is damaged or incomplete. Open it in the program that made it, "
        "save a fresh copy and send that."
    )


class TooLarge(IntakeError):
    """More bytes, pages, characters or parts than the limits allow."""

    code = "too_large"
    sentence = "This file is larger than allowed. Split it and send the parts."


class UnknownType(IntakeError):
    """Not a type that Mailroom reads."""

    code = "unknown_type"
    sentence = (
        "This type of file cannot be read. "
        "Send plain text, PDF, DOCX, HTML or an email (EML) instead."
    )


class ParseTimeout(IntakeError):
    """Reading took longer than the limit."""

    code = "parse_timeout"
    sentence = (
        "Reading this file took too long and was stopped. "
        "Save it in a simpler form (plain text, or a fresh PDF) and send that."
    )


class ParseMemory(IntakeError):
    """Reading wanted more memory than the limit."""

    code = "parse_memory"
    sentence = (
        "Reading this file needs more memory than allowed and was stopped. "
        "Save it in a simpler form, or split it, and send that."
    )


class ParseCrashed(IntakeError):
    """The reader of this type died on it."""

    code = "parse_crashed"
    sentence = (
        "The reader for this type of file broke down on it. "
        "Save a fresh copy in another form (plain text or PDF) and send that."
    )


class UnreadableFile(IntakeError):
    """The system did not hand the file over."""

    code = "unreadable_file"
    sentence = "This file could not be opened. Check its path and your rights."


BY_CODE: dict[str, type[IntakeError]] = {
    error.code: error
    for error in (
        EncryptedFile,
        NoText,
        EmptyFile,
        CorruptFile,
        TooLarge,
        UnknownType,
        ParseTimeout,
        ParseMemory,
        ParseCrashed,
        UnreadableFile,
        IntakeError,
    )
}


def from_json(error: dict[str, str]) -> IntakeError:
    """Return the error that `to_json` wrote."""
    return BY_CODE.get(error["code"], IntakeError)(error["message"])
