"""The new text of a mail: without what it quotes and without signature.

Lines are told apart (text, quote, introduction of a quote, head of an older mail, signature) and
then kept or dropped. From the head of an older mail on everything goes; quoted lines and what
introduces them go wherever they stand, so that answers below and between quotes stay. A mail that
is passed on stays too: to the one who gets it, it is new.
"""

from __future__ import annotations

import re

from intake.mail.attributions import (
    Attribution,
    find_attribution,
    header_block_length,
    is_field_row,
    is_forward,
    is_sender_field,
    is_separator,
    split_attribution,
)
from intake.mail.bodies import Body
from intake.mail.phrases import pattern
from intake.mail.signatures import (
    SIGNATURE_LINES,
    is_card,
    is_dash_name,
    is_delimiter,
    is_device_line,
    is_footer,
    is_rule,
)

_QUOTE = re.compile(r"[ \t]{0,4}(?:>(?!.*<<)|&gt;|\|[ \t>])")
_GAP = re.compile(r"\n{3,}")
_FORWARDING = pattern(
    *("fwd?", "wg", "tr", "rv", "i", "vb", "vl", "pd", "enc", "doorst", "转发", "轉寄", "転送"),
    suffix=r"\s?[:：]",
)
_OPEN_LINK = re.compile(r"<(?:https?|mailto):[^<>]*\Z")
_BULLET = re.compile(r"\s*[-*•]\s")
LOOK_AHEAD = 8  # lines below an attribution within which its quote begins
RESIDUE_CHARACTERS = 40
FOLDED_CHARACTERS = 60  # lines at least as long may have been folded
SECTION_LINES = 60  # a longer section below a drawn line is no signature


def reply_of(body: Body, subject: str = "") -> str:
    """Return a mail's new text; the whole text where nothing in it is old.

    A subject that says "Fwd:" makes an older mail under its fields one that is passed on.
    """
    if not body.texts:
        return ""
    if _FORWARDING.match(subject):
        return reply_text(body.text, forwarded=True)
    quoted = body.texts[0].quoted
    if quoted is not None and len(body.texts) == 1 and (body.texts[0].html or quoted.quotes):
        if body.texts[0].html:
            return reply_text(quoted.text) or reply_text(body.text)
        plain = reply_text(body.text)
        # a plain half without marks, beside HTML that has them
        if len(plain) > 0.9 * len(body.text.strip()) > 0:
            return reply_text(quoted.text) or plain
        return plain
    return reply_text(body.text)


def reply_text(text: str, *, forwarded: bool = False) -> str:
    """Return the new text of a plain body; linear in its length."""
    reader = _Reader(text.split("\n"), forwarded=forwarded)
    reader.read()
    found = reader.finish()
    if found or not reader.headed:
        return found
    # nothing but an older mail under its fields: passed on without a word
    return text.strip()


class _Reader:
    """Walks the lines once, keeping what is new."""

    def __init__(self, lines: list[str], *, forwarded: bool) -> None:
        self.lines = lines
        self.forwarded = forwarded
        self.kept: list[str] = []
        quotes = (place for place in reversed(range(len(lines))) if _QUOTE.match(lines[place]))
        self.ends: dict[int, bool] = {}
        self.last_quote = next(quotes, -1)
        self.headed = False  # an older mail's fields stood before anything new

    def read(self) -> None:
        place = 0
        while place < len(self.lines):
            step = self._step(place)
            if step is None:
                break
            place += step

    def _step(self, place: int) -> int | None:
        """Deal with the line at `place`; return how many lines are done, None when all are."""
        line = self.lines[place]
        if not line.strip():
            self.kept.append("")
            return 1
        if self._is_quoted(place):
            return 1
        fields = header_block_length(self.lines, place) or self._lone_sender(place)
        if is_forward(line) or (self.forwarded and (fields or is_separator(line))):
            self.kept += self.lines[place:]
            return None
        if fields or is_separator(line):
            return self._meet_older_mail(fields)
        split = split_attribution(self.lines, place)
        if split is not None:
            before, count = split
            self.kept.append(before)
            return count if self._is_quote_next(place + count) else None
        attribution = find_attribution(self.lines, place)
        if attribution is not None and self._introduces(attribution, place):
            return self._meet_attribution(attribution, place)
        if is_delimiter(line) or is_rule(line):
            end = self._end_of_section(place + 1, everything=line.rstrip() == "--")
            if self._is_signature(line, place + 1, end):
                return end - place
        self.kept.append(line.rstrip())
        return 1

    def _meet_older_mail(self, fields: int) -> int | None:
        if self._has_text():
            _drop_rule(self.kept)
            return None
        self.headed = self.headed or fields > 0
        return max(fields, 1)

    def _lone_sender(self, place: int) -> int:
        """Return 1 for a sender's field that alone stands for an older mail's fields, else 0.

        That is one below a drawn line, one above a quote, or one with others on its line.
        """
        if is_field_row(self.lines[place]):
            return 1
        if not is_sender_field(self.lines[place]):
            return 0
        below_rule = place > 0 and is_rule(self.lines[place - 1])
        return int(below_rule or self._is_quote_next(place + 1))

    def _introduces(self, attribution: Attribution, place: int) -> bool:
        return attribution.certain or self._is_quote_next(place + attribution.lines)

    def _meet_attribution(self, attribution: Attribution, place: int) -> int | None:
        after = place + attribution.lines
        if self._has_text() and not self._is_quote_next(after):
            return None  # the older mail follows without marks
        return attribution.lines

    def _has_text(self) -> bool:
        return any(line.strip() for line in self.kept[-200:])

    def _is_quoted(self, place: int) -> bool:
        line = self.lines[place]
        if _QUOTE.match(line):
            # a link that a mail program folded before its closing bracket is no quote
            return not (line.startswith(">") and place and _OPEN_LINK.search(self.lines[place - 1]))
        # the end of a quoted line that a mail program folded over
        if not 0 < place < len(self.lines) - 1 or len(line) > FOLDED_CHARACTERS:
            return False
        above, below = self.lines[place - 1], self.lines[place + 1]
        if not (_QUOTE.match(above) and _QUOTE.match(below)):
            return False
        if len(above) >= FOLDED_CHARACTERS and _goes_on(above, line):
            return True
        if len(line) > RESIDUE_CHARACTERS:
            return False
        if line.lstrip()[:1] in ("(", "<"):
            return True
        return len(above) >= RESIDUE_CHARACTERS and len(line.split()) <= 2

    def _is_quote_next(self, place: int) -> bool:
        for line in self.lines[place : place + LOOK_AHEAD]:
            if line.strip():
                return _QUOTE.match(line) is not None
        return False

    def _end_of_section(self, place: int, *, everything: bool) -> int:
        """Return where a signature that begins at `place` ends: at a quote, or with the mail."""
        last = len(self.lines) if everything else min(len(self.lines), place + SECTION_LINES)
        return next((end for end in range(place, last) if self._ends_section(end)), last)

    def _ends_section(self, place: int) -> bool:
        """Say whether a signature cannot reach beyond this line; found out once a line."""
        known = self.ends.get(place)
        if known is None:
            line = self.lines[place]
            known = _QUOTE.match(line) is not None or is_separator(line) or is_forward(line)
            if not known and line[:1] not in ("", " ", "\t"):
                attribution = find_attribution(self.lines, place)
                known = header_block_length(self.lines, place) > 0 or (
                    attribution is not None and self._introduces(attribution, place)
                )
            self.ends[place] = known
        return known

    def _is_signature(self, line: str, start: int, end: int) -> bool:
        section = self.lines[start:end]
        if line.rstrip() == "--":
            return True
        if end == start + SECTION_LINES:
            return False
        if is_delimiter(line):
            return sum(bool(other.strip()) for other in section) <= SIGNATURE_LINES
        return is_footer(section) or (self._has_text() and is_card(section))

    def finish(self) -> str:
        """Return the kept lines without what signs them off."""
        kept = self.kept
        while kept and (not kept[-1].strip() or is_rule(kept[-1]) or is_device_line(kept[-1])):
            kept.pop()
        for place in range(len(kept) - 1, max(len(kept) - SIGNATURE_LINES, -1), -1):
            alone = place == 0 or not kept[place - 1].strip() or is_device_line(kept[place - 1])
            if alone and is_device_line(kept[place]):
                del kept[place]
        while kept and not kept[-1].strip():
            kept.pop()
        if len(kept) > 1 and is_dash_name(kept[-1]) and kept[-2].strip()[-1:] in ("", *".!?"):
            above = next((line for line in reversed(kept[:-1]) if line.strip()), "")
            if not _BULLET.match(above):
                kept.pop()
        return _GAP.sub("\n\n", "\n".join(kept)).strip()


def _goes_on(above: str, line: str) -> bool:
    """Say whether a line reads on from the quoted one above, in the midst of a sentence."""
    return line[:1].islower() and above.rstrip()[-1:] not in ".?!:;"


def _drop_rule(kept: list[str]) -> None:
    """Drop a drawn line at the end: it divided the answer from what is quoted."""
    while kept and (not kept[-1].strip() or is_rule(kept[-1])):
        kept.pop()
