"""What the rules say of a document that was just read, and the deliveries they ask for.

The rules are one file, `rules.toml` in the data folder unless a setting names another. Without it
nothing is decided and nothing is sent, but where several machines share a database: there the
version that was saved last on a page is followed. Mistakes leave the rules of before in force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ledger import Ledger, Viewer
from ledger.errors import LedgerError
from routing.facts import facts
from routing.rules import Decision, Rules, evaluate
from routing.rules_file import WrongRules, parse, version_of
from settings import Settings

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0  # between looks into the ledger for newer rules


def decider(settings: Settings, ledger: Callable[[], Ledger]) -> Decider:
    """Return what decides in a process of an installation."""
    return Decider(rules_path(settings), ledger if is_shared(settings) else None)


def rules_path(settings: Settings) -> Path:
    """Return where the rules are written down."""
    return settings.rules_file or settings.data_dir.expanduser().resolve() / "rules.toml"


def is_shared(settings: Settings) -> bool:
    """Say whether other machines may use this installation's ledger."""
    url = settings.database_url.get_secret_value() if settings.database_url else "sqlite:"
    return not url.startswith("sqlite:")


def latest(ledger: Ledger) -> str | None:
    """Return the text of the rules that was saved last, or None where none ever was."""
    found = ledger.rulebook.list(Viewer(scopes=frozenset({"read"})), limit=1)
    return found[0].text if found else None


class Decider:
    """The rules of one process; a changed file is read again.

    `ledger` gives the ledger to look into where there is no file, every few seconds.
    """

    def __init__(self, path: Path, ledger: Callable[[], Ledger] | None = None) -> None:
        self._path = path
        self._ledger = ledger
        self._looked_at = float("-inf")
        self._changed: tuple[int, int] | None = None
        self._rules: Rules | None = None

    def decide(
        self,
        outcome: Mapping[str, Any] | None,
        mail: Mapping[str, Any] | None,
        text: str | None,
        *,
        envelope: Mapping[str, Any] | None,
        source: str,
    ) -> Decision | None:
        """Return the decision on a document that was read, or None where there are no rules."""
        rules = self._read()
        if rules is None or outcome is None:
            return None
        known = facts(
            outcome,
            mail,
            text or "",
            received_at=_received(envelope),
            envelope=envelope,
            source=source,
        )
        return evaluate(rules, known)

    def watches(self, queue: str) -> bool:
        """Say whether a queue is only watched as the rules are now."""
        rules = self._read()
        return rules is not None and rules.shadow.watches(queue)

    def _read(self) -> Rules | None:
        """Return the rules in force; what cannot be read leaves those of before."""
        try:
            self._rules = self._current()
        except (OSError, UnicodeDecodeError) as error:
            log.error("rules_not_read", reason=type(error).__name__)
        except LedgerError as error:
            log.warning("rules_not_read", reason=error.code, in_force=bool(self._rules))
        except WrongRules as wrong:
            lines = [mistake.line for mistake in wrong.mistakes]
            log.error("rules_have_mistakes", lines=lines, in_force=bool(self._rules))
        return self._rules

    def _current(self) -> Rules | None:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._changed = None
            return self._from_ledger()
        changed = (state.st_mtime_ns, state.st_size)
        if changed == self._changed:
            return self._rules
        self._changed = changed
        rules = parse(self._path.read_text(encoding="utf-8"))
        log.info("rules_read", version=rules.version, rules=len(rules.rules))
        return rules

    def _from_ledger(self) -> Rules | None:
        """Return the rules that were saved last; looked for again after some seconds."""
        if self._ledger is None:
            return None
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return self._rules
        text = latest(self._ledger())
        self._looked_at = now
        if text is None or (self._rules and self._rules.version == version_of(text)):
            return self._rules if text is not None else None
        return parse(text)


def deliveries(decision: Decision, *, ours: bool = False) -> tuple[dict[str, Any], ...]:
    """Return the owed deliveries that a decision asks for.

    None for a mail that was sent from here, and none for a queue that is only watched.
    """
    if ours:
        return ()
    payload = {
        "queue": decision.queue,
        "priority": decision.priority,
        "due": decision.due,
        "tags": list(decision.tags),
        "reason": decision.reason,
        "rule": decision.rule,
        "rules_version": decision.version,
        "model": decision.model,
        "confidence": round(decision.confidence, 4),
    }
    return tuple({"connector": name, "payload": payload} for name in decision.delivers)


def _received(envelope: Mapping[str, Any] | None) -> datetime:
    """Return when the document came, as its door noted it; now where it did not."""
    try:
        at = datetime.fromisoformat(str((envelope or {}).get("received_at")))
    except ValueError:
        return datetime.now(UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
