"""The rules: one file on disk, read and changed as a whole, with every earlier text remembered.

Where several machines share a database, a machine without the file follows the version that was
saved last, which is in the ledger; one with a file follows its file. On a single machine there is
the file, or there are no rules.

Whoever edits says which text they began with. When the file has another by then, nothing is
written: two people, or a person and a deployment, do not undo each other unseen.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger import Ledger, Viewer
from ledger.rulebook import Edition
from routing.rules import Rules
from routing.rules_file import Mistake, WrongRules, parse, version_of
from settings import Settings
from workers.decisions import is_shared, latest, rules_path

MOST_CHARACTERS = 200_000
_CHANGED = "The rules were changed meanwhile: look at them as they are."


class RulesChanged(RuntimeError):
    """The file is not the text that the change began with."""

    code = "rules_changed"


class NotWritable(RuntimeError):
    """The file cannot be read or written here; the sentence says why."""

    code = "rules_not_writable"


class RulesDisk:
    """The file that the settings name; with a `ledger`, what stands in for it elsewhere."""

    def __init__(self, settings: Settings, ledger: Ledger | None = None) -> None:
        self.path: Path = rules_path(settings)
        self._shared = ledger if ledger is not None and is_shared(settings) else None

    def text(self) -> str | None:
        """Return the rules' text, or None where there are none; raises NotWritable."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return latest(self._shared) if self._shared is not None else None
        except (OSError, UnicodeDecodeError) as error:
            raise NotWritable(f"{self.path.name} cannot be read: {_why(error)}.") from error

    def rules(self) -> Rules | None:
        """Return the rules, or None where there is no file; raises WrongRules, NotWritable."""
        text = self.text()
        return None if text is None else parse(text)

    def save(
        self, text: str, *, began_with: str | None, ledger: Ledger, viewer: Viewer, note: str
    ) -> Edition:
        """Put a text in the file's place and remember it, and the one before it.

        `began_with` is the version of the text that was edited, None for no file. An admin of
        the default workspace may. Raises RulesChanged, WrongRules, NotWritable and Forbidden,
        and changes nothing then.
        """
        viewer.require_operator()
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        check(text)
        if self._shared is not None and not self.path.exists():
            made = self._shared.rulebook.replace(
                text, version_of(text), note, viewer, began_with=began_with or None
            )
            if made is None:
                raise RulesChanged(_CHANGED)
            return made
        with self._alone():
            before = self.text()
            if (None if before is None else version_of(before)) != (began_with or None):
                raise RulesChanged(_CHANGED)
            known = ledger.rulebook.list(viewer, limit=1)
            if before is not None and (not known or known[0].version != version_of(before)):
                found = "found on disk, changed by hand"
                ledger.rulebook.keep(before, version_of(before), found, viewer)
            self._write(text)
        return ledger.rulebook.keep(text, version_of(text), note, viewer)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes of this machine from writing at the same time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise NotWritable(f"{self.path.parent} cannot be used: {_why(error)}.") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, text: str) -> None:
        """Put the text there at once: a worker reads either the old file or the new one."""
        target = self.path.resolve()
        made: str | None = None
        try:
            handle, made = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                os.chmod(made, target.stat().st_mode & 0o777)
            os.replace(made, target)
        except OSError as error:
            if made is not None:
                Path(made).unlink(missing_ok=True)
            raise NotWritable(f"{target.name} cannot be written: {_why(error)}.") from error


def check(text: str) -> Rules:
    """Return the rules of a text that somebody wants to save; raises WrongRules."""
    if len(text) > MOST_CHARACTERS:
        raise WrongRules([Mistake(1, f"The rules have more than {MOST_CHARACTERS:,} characters.")])
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise WrongRules([Mistake(line, "There is a character that is none.")]) from error
    return parse(text)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
