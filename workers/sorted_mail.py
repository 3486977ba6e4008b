"""Mail that people sorted into folders, as labelled texts: the folder is the label.

Training, choosing and measuring each get mails of their own: whole conversations, the latest ones
held back. A reply quotes the mail it answers, so a conversation on both sides would be a leak; and
what a model is wanted for is mail that comes later.

Mail that lies where it arrived has no label: teachers can say what they think of it, if it is of
no conversation that something is measured on.
"""

from __future__ import annotations

import json
import mailbox
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from intake import Limits, Parser
from intake.errors import IntakeError
from routing import folders, threads

LEAST = 8  # mails of a folder that can be learned from
HELD_BACK, CHOSEN_ON = 0.15, 0.15  # shares of a folder's conversations
MOST_UNSORTED = 5_000  # mails without a label that are read
_GROUP = 64  # mails parsed together


@dataclass(frozen=True)
class Sorted:
    """A raw mail and the folder it lies in."""

    folder: str
    raw: bytes


@dataclass(frozen=True)
class Example:
    """A mail's text and label, and what tells its place in time and conversation."""

    text: str
    folder: str | None  # None: nobody has sorted it
    message: threads.Message
    at: datetime


@dataclass(frozen=True)
class Learnable:
    """What was found, divided; `thin` folders had too few mails, `left_out` mails were no use.

    `unsorted` mails have no label.
    """

    train: list[Example]
    chosen_on: list[Example]
    held_back: list[Example]
    unsorted: list[Example] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    thin: tuple[str, ...] = ()
    left_out: int = 0

    def words(self) -> str:
        """Return what was found, in a sentence or two."""
        found = ", ".join(f"{name} {count:,}" for name, count in self.counts.most_common(12))
        more = " …" if len(self.counts) > 12 else ""
        thin = ", ".join(self.thin[:8]) + (" …" if len(self.thin) > 8 else "")
        left = f" Fewer than {LEAST} mails, so left out: {thin}." if self.thin else ""
        lost = f" {self.left_out:,} mails could not be used." if self.left_out else ""
        return (
            f"{sum(self.counts.values()):,} mails in {len(self.counts):,} folders: {found}{more}."
            f"{left}{lost} {len(self.train):,} to learn from, {len(self.chosen_on):,} to choose "
            f"on, the latest {len(self.held_back):,} held back."
            + (f" {len(self.unsorted):,} that nobody has sorted teach, too." * bool(self.unsorted))
        )


def maildir(root: Path) -> Iterator[Sorted]:
    """Yield the mails of a Maildir and of those below it, `.Queue.Sub` or plain folders."""
    for folder in sorted([root, *(path for path in root.rglob("*") if path.is_dir())]):
        if not (folder / "cur").is_dir():
            continue
        box = mailbox.Maildir(folder, create=False)
        name = "/".join(
            level.lstrip(".").replace(".", "/") for level in folder.relative_to(root).parts
        )
        for key in box.iterkeys():
            yield Sorted(name or "INBOX", box.get_bytes(key))


def mbox(path: Path) -> Iterator[Sorted]:
    """Yield the mails of an mbox file, or of every one in a folder: the file's name is the label.

    Where mails carry `X-Gmail-Labels`, as an export of such a mailbox does, that is the label.
    """
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        box = mailbox.mbox(file, create=False)
        try:
            for key in box.iterkeys():
                raw = box.get_bytes(key)
                yield Sorted(_gmail_label(raw) or file.stem, raw)
        finally:
            box.close()


def learnable(
    mails: Iterable[Sorted], limits: Limits | None = None, *, unsorted: bool = False
) -> Learnable:
    """Return what can be learned from these mails, divided by conversation and time.

    With `unsorted` also mails without a label, at most MOST_UNSORTED, of conversations from which
    nothing is chosen on or held back.
    """
    examples, left_out = _examples(_useful(mails, unsorted), limits)
    counts = Counter(example.folder for example in examples if example.folder is not None)
    thin = tuple(sorted(name for name, count in counts.items() if count < LEAST))
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    for part, example in _divided([each for each in examples if each.folder not in thin]):
        parts[part].append(example)
    train, chosen_on, held_back = ([each for each in part if each.folder] for part in parts)
    return Learnable(
        train,
        chosen_on,
        held_back,
        unsorted=[each for each in parts[0] if each.folder is None],
        counts=Counter({name: n for name, n in counts.items() if name not in thin}),
        thin=thin,
        left_out=left_out,
    )


def _useful(mails: Iterable[Sorted], unsorted: bool) -> Iterator[tuple[str | None, bytes]]:
    """Yield the mails that people put somewhere, and some of those that only arrived."""
    room = MOST_UNSORTED if unsorted else 0
    for one in mails:
        if folders.is_label(one.folder):
            yield one.folder, one.raw
        elif room and folders.is_arrived(one.folder):
            room -= 1
            yield None, one.raw


def write(examples: Iterable[Example], path: Path, *, text: str, label: str) -> Path:
    """Write examples as the JSON lines that training reads; return the path."""
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps({text: example.text, label: example.folder}) + "\n")
    return path


def _examples(
    mails: Iterator[tuple[str | None, bytes]], limits: Limits | None
) -> tuple[list[Example], int]:
    """Return each text once; one that lies in two folders teaches nothing and is left out.

    One that also lies unsorted has its folder. Counted as left out are sorted mails only.
    """
    found: dict[str, Example] = {}
    contrary: set[str] = set()
    left_out = 0
    with Parser(limits) as parser:
        while group := list(islice(mails, _GROUP)):
            parsed = parser.parse_many([(raw, "", "message/rfc822") for _, raw in group])
            for (folder, _), read in zip(group, parsed, strict=True):
                if isinstance(read, IntakeError) or read.mail is None or not read.text.strip():
                    left_out += folder is not None
                    continue
                message = threads.message(read.mail.to_json())
                at = message.at or datetime(1970, 1, 1, tzinfo=UTC)
                at = at if at.tzinfo else at.replace(tzinfo=UTC)
                example = Example(read.text, folder, message, at)
                before = found.setdefault(read.text, example)
                if before is example or folder is None:
                    continue
                if before.folder is None:
                    found[read.text] = example
                elif before.folder != folder:
                    contrary.add(read.text)
                else:
                    left_out += 1
    kept = [example for text, example in found.items() if text not in contrary]
    return kept, left_out + len(contrary)


def _divided(examples: list[Example]) -> Iterator[tuple[int, Example]]:
    """Yield each example with its part: 0 to learn from, 1 to choose on, 2 held back.

    Whole conversations, by the folder most of their sorted mails lie in; the latest are held back,
    those before them are chosen on. Of conversations without a sorted mail there is only to learn.
    """
    order = sorted(range(len(examples)), key=lambda i: examples[i].at)
    joined = threads.Threads(examples[i].message for i in order)
    by_folder: dict[str, list[list[Example]]] = {}
    for group in joined.groups():
        own = [examples[order[number]] for number in group]
        named = Counter(example.folder for example in own if example.folder is not None)
        if not named:
            yield from ((0, example) for example in own)
            continue
        by_folder.setdefault(named.most_common(1)[0][0], []).append(own)
    for groups in by_folder.values():
        groups.sort(key=lambda own: max(each.at for each in own if each.folder is not None))
        held, chosen = (_share(len(groups), share) for share in (HELD_BACK, CHOSEN_ON))
        for number, own in enumerate(groups):
            left = len(groups) - number
            part = 2 if left <= held else 1 if left <= held + chosen else 0
            yield from ((part, example) for example in own)


def _share(conversations: int, share: float) -> int:
    """Return how many conversations that is: one at least where three are there."""
    return max(1, round(conversations * share)) if conversations >= 3 else 0


def _gmail_label(raw: bytes) -> str:
    """Return the first of a mail's Gmail labels that a person gave, else where it lies, or ""."""
    head = raw[:20_000].split(b"\n\n", 1)[0]
    for line in head.splitlines():
        name, colon, value = line.partition(b":")
        if colon and name.lower() == b"x-gmail-labels":
            labels = [each.strip() for each in value.decode("utf-8", "replace").split(",")]
            own = [each for each in labels if each and folders.is_label(each)]
            put_away = [each for each in labels if each and not folders.is_arrived(each)]
            return next(iter([*own, *put_away]), "INBOX")
    return ""
