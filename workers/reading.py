"""Bytes in, outcomes out: intake, the kind, the model of that kind, and an email's priority.

Knows nothing of queues and rows, so that `mailroom predict` reads exactly as a worker does.
Models are loaded when first needed, once a process, and changed when another version is promoted.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import structlog

from intake import IntakeError, Limits, Mail, Parsed, Parser
from workers.errors import Fault, InternalError, NoReader, TooSlow, UnknownKind
from workers.limits import TimeIsUp, time_limit

log = structlog.get_logger(__name__)

# How long a version looked up in the ledger is believed: a promotion is seen after that.
_VERSION_SECONDS = 2.0
# Codes of the models' room for "it is not here", which trying again does not cure
NOT_INSTALLED = {"unknown_model", "artifact_missing"}
# Below this confidence in a recognised kind a person looks
KIND_DOUBT = 0.6
# Documents handed to the parser at once; between two such groups a worker may stop.
_PARSED_TOGETHER = 16


class Incoming(NamedTuple):
    """A document to read: its bytes, or a text that is a text already."""

    body: bytes | str
    kind: str | None = None  # as said by the sender; None: to be recognised
    name: str = ""
    media_type: str = ""


class Reading(NamedTuple):
    """What became of one document: an outcome or an error, and what is known of it either way."""

    kind: str | None = None
    type: str | None = None
    text: str | None = None
    pages: int | None = None
    mail: Mail | None = None
    outcome: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    transient: bool = False  # the error is ours and may go away
    recognised: float | None = None  # confidence in the kind
    vector: bytes | None = None  # of the text, among labelled examples that the model keeps


class Readers:
    """The models of one process, and the way through them.

    `active` answers which version of a model is promoted (None: the shipped one); `fetch` brings
    a trained version that this machine may lack; `device` is asked when a model is first loaded.
    """

    def __init__(
        self,
        *,
        models_dir: Path | None,
        limits: Limits | None = None,
        active: Callable[[str], str | None] = lambda _: None,
        fetch: Callable[[str, str], None] = lambda *_: None,
        device: Callable[[], str] = lambda: "cpu",
        threads: int = 0,
        batch_seconds: float | None = None,
    ) -> None:
        self._models_dir = models_dir
        self._active = active
        self._fetch = fetch
        self._device = device
        self._threads = threads
        self._batch_seconds = batch_seconds
        self._loaded: dict[str, tuple[str | None, Any]] = {}
        self._versions: dict[str, tuple[float, str | None]] = {}
        # One at a time: a warm-up in the background and the first document want the same model.
        self._locks: defaultdict[str, RLock] = defaultdict(RLock)
        self._torch_ready = False
        self.limits = limits or Limits()
        self.parser = Parser(self.limits)

    def close(self) -> None:
        """End the parser's child process."""
        self.parser.close()

    def warm(self, kinds: Sequence[str]) -> None:
        """Load the models of these kinds, so that the first document need not wait."""
        for kind in kinds:
            try:
                self.reader(kind)
            except Fault as fault:
                log.warning("model_not_loaded", model=kind, reason=fault.code)

    def read(
        self,
        documents: Sequence[Incoming],
        *,
        enough: Callable[[], bool] = lambda: False,
        vectors: bool = False,
    ) -> list[Reading | None]:
        """Return one reading a document, in order.

        `enough` is asked between documents while they are parsed: once it is True the rest are
        left alone (None in their places). With `vectors` a reading says where its text lies among
        the examples that its model keeps, if any. A bad document is a reading with an error;
        nothing but a time limit set by somebody else is raised.
        """
        readings: list[Reading | None] = [
            Reading(document.kind, "text", document.body)
            if isinstance(document.body, str)
            else None
            for document in documents
        ]
        packed = [index for index, reading in enumerate(readings) if reading is None]
        for start in range(0, len(packed), _PARSED_TOGETHER):
            if start and enough():
                break
            group = packed[start : start + _PARSED_TOGETHER]
            for index, read in zip(
                group, self._parse([documents[index] for index in group]), strict=True
            ):
                readings[index] = read
        self._recognise(readings)
        by_kind: dict[str, list[int]] = defaultdict(list)
        for index, reading in enumerate(readings):
            if reading is not None and reading.error is None and reading.kind is not None:
                by_kind[reading.kind].append(index)
        for kind, indices in by_kind.items():
            chosen = [reading for index in indices if (reading := readings[index]) is not None]
            for index, answered in zip(indices, self._apply(kind, chosen, vectors), strict=True):
                readings[index] = answered
        return readings

    def reader(self, kind: str) -> Any:
        """Return the model of a kind, of the version that is promoted now; raises Fault."""
        with self._locks[kind]:
            version = self._version(kind)
            loaded = self._loaded.get(kind)
            if loaded is None or loaded[0] != version:
                loaded = version, self._load(kind, version)
                self._loaded[kind] = loaded
            return loaded[1]

    def _parse(self, documents: Sequence[Incoming]) -> list[Reading]:
        """Return the text of each document of bytes, or intake's error."""
        wanted = [
            (document.body, document.name, document.media_type)
            for document in documents
            if isinstance(document.body, bytes)
        ]
        found: Sequence[Parsed | IntakeError | Fault]
        try:
            found = self.parser.parse_many(wanted)
        except Exception:
            log.exception("parse_failed")
            found = [InternalError()] * len(wanted)
        return [_parsed(one, document.kind) for one, document in zip(found, documents, strict=True)]

    def _recognise(self, readings: list[Reading | None]) -> None:
        """Fill in the kind where it was not said."""
        unknown = [
            index
            for index, reading in enumerate(readings)
            if reading is not None and reading.error is None and reading.kind is None
        ]
        if not unknown:
            return
        try:
            with self._locks["recognition"]:
                self._prepare_torch()
                from nlp.recognition import recognise

                found = recognise([_text_of(readings[index]) for index in unknown])
        except TimeIsUp:
            raise
        except Exception as error:
            fault: Fault = InternalError()
            if getattr(error, "code", "") in NOT_INSTALLED:
                fault = NoReader("No model that recognises kinds is installed: say the kind.")
            else:
                log.exception("recognition_failed")
            for index in unknown:
                readings[index] = _failed(readings[index] or Reading(), fault)
            return
        for index, (kind, confidence) in zip(unknown, found, strict=True):
            reading = readings[index] or Reading()
            readings[index] = reading._replace(kind=kind, recognised=float(confidence))

    def _apply(self, kind: str, readings: list[Reading], vectors: bool) -> list[Reading]:
        """Run the model of a kind over parsed documents."""
        try:
            reader = self.reader(kind)
        except Fault as fault:
            return [_failed(reading, fault) for reading in readings]
        from nlp.reader import Item

        items = [
            Item(text=reading.text or "", mail=reading.mail.to_json() if reading.mail else None)
            for reading in readings
        ]
        try:
            with time_limit(self._batch_seconds):
                answers = split_until_alone(partial(reader, vectors=vectors), items)
        except TimeIsUp:
            # Tried again each on its own: which one was slow shows then.
            return [_failed(reading, TooSlow()) for reading in readings]
        return [
            _answered(kind, reading, answer)
            for reading, answer in zip(readings, answers, strict=True)
        ]

    def _version(self, kind: str) -> str | None:
        now = time.monotonic()
        known = self._versions.get(kind)
        if known is None or now - known[0] > _VERSION_SECONDS:
            known = now, self._active(kind)
            self._versions[kind] = known
        return known[1]

    def _load(self, kind: str, version: str | None) -> Any:
        began = time.monotonic()
        try:
            from nlp import kinds

            if version is None and kind not in kinds.names():
                raise UnknownKind(f"There is no kind of document called {kind!r}.")
            self._prepare_torch()
            from nlp.reader import load_reader

            if version is not None:
                self._fetch(kind, version)
            reader = load_reader(
                kind, models_dir=self._models_dir, version=version, device=self._device()
            )
        except (Fault, TimeIsUp):
            raise
        except Exception as error:
            if getattr(error, "code", "") in NOT_INSTALLED:
                raise NoReader from error
            log.exception("model_not_loaded", model=kind, version=version)
            raise InternalError(
                f"The model of {kind!r} could not be loaded; `mailroom doctor` says more."
            ) from error
        # What was loaded stays: a collector that walks through all of it every two seconds took a
        # fifth of a batch job's time.
        gc.collect()
        gc.freeze()
        log.info(
            "model_loaded",
            model=kind,
            version=version or "shipped",
            seconds=round(time.monotonic() - began, 2),
        )
        return reader

    def _prepare_torch(self) -> None:
        if self._torch_ready:
            return
        from workers.devices import share_cores, torch_threads

        share_cores()
        import torch

        torch.set_num_threads(torch_threads(self._threads))
        self._torch_ready = True


def split_until_alone(reader: Callable[[list[Any]], list[Any]], items: list[Any]) -> list[Any]:
    """Return the reader's answers, an exception standing in the place of each item that raised.

    A batch that raises is cut in two, and again, until the bad item is alone: it costs about
    twice the logarithm of the batch's size in further runs, and the others get their answer.
    """
    if not items:
        return []
    try:
        answers = list(reader(items))
    except TimeIsUp:
        raise
    except Exception as error:
        if len(items) == 1:
            log.exception("item_failed")
            return [error]
        middle = len(items) // 2
        return split_until_alone(reader, items[:middle]) + split_until_alone(reader, items[middle:])
    if len(answers) != len(items):
        return [InternalError() for _ in items]
    return answers


def _parsed(parsed: Parsed | IntakeError | Fault, kind: str | None) -> Reading:
    if isinstance(parsed, Fault):
        return _failed(Reading(kind=kind), parsed)
    if isinstance(parsed, IntakeError):
        return Reading(kind=kind, error={"code": parsed.code, "message": str(parsed)})
    if kind is None and parsed.mail is not None:
        kind = "email"  # nothing to guess: it has a mail's headers
    return Reading(
        kind=kind, type=parsed.type, text=parsed.text, pages=parsed.pages, mail=parsed.mail
    )


def _answered(kind: str, reading: Reading, answer: Any) -> Reading:
    if isinstance(answer, Exception):
        fault = answer if isinstance(answer, Fault) else InternalError()
        return _failed(reading, fault)
    if hasattr(answer, "code"):  # nlp.reader.Failure: the model cannot take this text
        error = {"code": str(answer.code), "message": str(answer.message)}
        return reading._replace(error=error, transient=False)
    outcome = dict(answer.to_json())
    if kind == "email":
        outcome["labels"] = {**outcome["labels"], "priority": _priority(outcome, reading)}
    if reading.recognised is not None:
        outcome["kind_confidence"] = round(reading.recognised, 4)
        if reading.recognised < KIND_DOUBT:
            outcome["needs_review"] = True
    return reading._replace(outcome=outcome, vector=getattr(answer, "vector", None))


def _priority(outcome: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    """Return the `priority` head: a readable rule over learned signals and plain ones."""
    from routing.priority import priority

    mail = reading.mail.to_json() if reading.mail else None
    decision = priority(outcome["labels"], reading.text or "", mail, datetime.now(UTC))
    return decision.to_json()


def _failed(reading: Reading, fault: Fault) -> Reading:
    return reading._replace(error=fault.to_json(), transient=fault.transient)


def _text_of(reading: Reading | None) -> str:
    return (reading.text or "") if reading is not None else ""
