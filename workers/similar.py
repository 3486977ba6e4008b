"""Labelled examples beside a document, for pages and the API: found without torch or a model.

The reader left the document's vector with its result; the examples lie in the packed version.
Whoever asks sees them only if the version is their workspace's.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import structlog

from ledger import Ledger, Viewer
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from nlp.neighbours import Index

log = structlog.get_logger(__name__)

MOST_KEPT = 4  # indexes in memory: a few megabytes each
# By the hash of the packed model, which never changes; None: it keeps no examples
_kept: OrderedDict[str, Index | None] = OrderedDict()
_lock = threading.Lock()


def similar_to(
    ledger: Ledger, viewer: Viewer, name: str, version: str, vector: bytes | None, count: int
) -> list[dict[str, Any]]:
    """Return the labelled examples most like a text that this version read, the nearest first.

    Nothing where the viewer's workspace has no such version, where that keeps no examples, or
    where its file is lost: an answer is worth showing without them.
    """
    if vector is None:
        return []
    try:
        sha256 = ledger.models.get(name, version, viewer).sha256
        index = _index(ledger, sha256)
    except LedgerError as error:
        if error.code != "not_found":
            log.warning("examples_not_read", model=name, version=version, reason=error.code)
        return []
    return [] if index is None else [one.to_json() for one in index.nearest(vector, count)]


def _index(ledger: Ledger, sha256: str) -> Index | None:
    with _lock:
        if sha256 in _kept:
            _kept.move_to_end(sha256)
            return _kept[sha256]
    from nlp.errors import BadParcel
    from nlp.neighbours import index_of_parcel

    with ledger.files.local(sha256) as parcel:
        try:
            index = index_of_parcel(parcel)
        except BadParcel as error:
            log.warning("examples_not_read", reason=error.code)
            index = None
    with _lock:
        _kept[sha256] = index
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return index
