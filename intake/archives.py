"""ZIP archives from strangers: their table of contents is checked before a byte is inflated."""

from __future__ import annotations

import io
import zipfile
import zlib

from intake.errors import CorruptFile, EncryptedFile, TooLarge

ENTRIES = 5_000
RATIO = 200  # inflated bytes for a packed one; office files stay far below 100
RATIO_FROM_BYTES = 5_000_000  # small files of blanks pack better than that, and do no harm
CHUNK_BYTES = 65_536

ENCRYPTED_FLAG = 0x1


def open_archive(body: bytes, *, total_bytes: int) -> zipfile.ZipFile:
    """Return an archive whose table of contents is harmless.

    Raises EncryptedFile, TooLarge (entries, declared sizes, ratio) and CorruptFile (two entries
    of one name, names that lead out of the archive, a broken table).
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(body))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, OverflowError) as error:
        raise CorruptFile from error
    entries = archive.infolist()
    if len(entries) > ENTRIES:
        raise TooLarge(f"This file holds {len(entries):,} parts, far more than a document needs.")
    names: set[str] = set()
    declared = 0
    for entry in entries:
        if entry.flag_bits & ENCRYPTED_FLAG:
            raise EncryptedFile
        name = entry.filename
        if name in names or name.startswith(("/", "\\")) or ".." in name.split("/"):
            raise CorruptFile(
                "This file's inner names are not those of a document. "
                "Open it in the program that made it, save a fresh copy and send that."
            )
        names.add(name)
        declared += entry.file_size
        if entry.file_size > RATIO_FROM_BYTES and entry.file_size > RATIO * entry.compress_size:
            raise _bomb()
    if declared > total_bytes:
        raise _bomb()
    return archive


def read_entry(archive: zipfile.ZipFile, name: str, *, most_bytes: int) -> bytes:
    """Return one entry, counting bytes while inflating: the declared size may be a lie."""
    pieces: list[bytes] = []
    count = 0
    try:
        with archive.open(name) as stream:
            while piece := stream.read(CHUNK_BYTES):
                count += len(piece)
                if count > most_bytes:
                    raise _bomb()
                pieces.append(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise CorruptFile from error
    except RuntimeError as error:  # "is encrypted": the table did not say so, the entry does
        raise EncryptedFile from error
    return b"".join(pieces)


def _bomb() -> TooLarge:
    return TooLarge(
        "This file unpacks to far more than its size. "
        "Save it as plain text or PDF, without embedded pictures, and send that."
    )
