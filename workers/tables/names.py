"""Formats by their names and first bytes; light enough for the web side."""

from __future__ import annotations

FORMATS = ("csv", "jsonl", "parquet", "zip")
ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".zip": "zip",
}
HEAD_BYTES = 512  # that `sniff` wants to see
# What the result of each is: a ZIP's is JSON lines with the path of every file
RESULTS = {
    "csv": (".csv", "text/csv; charset=utf-8"),
    "jsonl": (".jsonl", "application/jsonl; charset=utf-8"),
    "parquet": (".parquet", "application/vnd.apache.parquet"),
    "zip": (".jsonl", "application/jsonl; charset=utf-8"),
}


def sniff(name: str, head: bytes) -> str | None:
    """Return the format of a file by its first bytes, and by its name where those do not say."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    ending = "." + name.lower().rpartition(".")[2]
    said = ENDINGS.get(ending)
    if said in ("parquet", "zip") or b"\0" in head.removeprefix(b"\xff\xfe"):
        return None  # not what it is called, or no text at all
    if said is not None:
        return said
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def result_name(name: str, file_format: str) -> str:
    """Return what the result of an input of this name is called."""
    ending, _ = RESULTS[file_format]
    stem = name
    for known in ENDINGS:
        if name.lower().endswith(known):
            stem = name[: -len(known)]
            ending = known if file_format == "csv" else ending
    return f"{stem or 'batch'}-read{ending}"
