"""Bytes to text with offsets: what a file is, what it says, and what a mail consists of.

`Parser` reads documents in a child process with limits on memory, processor time, wall time and
output, so that a hostile file costs one error and never the process that asked. The type is
sniffed from the bytes; a name or media type only breaks ties. This room knows nothing of what
the text is used for, and loads neither torch nor spaCy.
"""

from __future__ import annotations

from intake.errors import (
    CorruptFile,
    EmptyFile,
    EncryptedFile,
    IntakeError,
    NoText,
    ParseCrashed,
    ParseMemory,
    ParseTimeout,
    TooLarge,
    UnknownType,
    UnreadableFile,
)
from intake.limits import Limits
from intake.parsed import Attachment, Bounce, Mail, Parsed
from intake.parser import Parser

__all__ = [
    "Attachment",
    "Bounce",
    "CorruptFile",
    "EmptyFile",
    "EncryptedFile",
    "IntakeError",
    "Limits",
    "Mail",
    "NoText",
    "ParseCrashed",
    "ParseMemory",
    "ParseTimeout",
    "Parsed",
    "Parser",
    "TooLarge",
    "UnknownType",
    "UnreadableFile",
]
