"""What the rules say of a document that was just read, and the deliveries they ask for.

The rules are one file, `rules.toml` in the data folder unless a setting names another; without it
nothing is decided and nothing is sent. A file with mistakes leaves the rules of before in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from routing.facts import facts
from routing.rules import Decision, Rules, evaluate
from routing.rules_file import WrongRules, parse
from settings import Settings

log = structlog.get_logger(__name__)


def rules_path(settings: Settings) -> Path:
    """Return where the rules are written down."""
    return settings.rules_file or settings.data_dir.expanduser().resolve() / "rules.toml"


class Decider:
    """The rules of one process; a changed file is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
        try:
            state = self._path.stat()
            changed = (state.st_mtime_ns, state.st_size)
            if changed != self._changed:
                self._changed = changed
                self._rules = parse(self._path.read_text(encoding="utf-8"))
                log.info("rules_read", version=self._rules.version, rules=len(self._rules.rules))
        except FileNotFoundError:
            self._changed, self._rules = None, None
        except (OSError, UnicodeDecodeError) as error:
            log.error("rules_not_read", reason=type(error).__name__)
        except WrongRules as wrong:
            lines = [mistake.line for mistake in wrong.mistakes]
            log.error("rules_have_mistakes", lines=lines, in_force=bool(self._rules))
        return self._rules


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
