"""Words of urgency and of leisure in a mail's own text, each with where it stands.

The patterns are linear in the text's length: alternations of words with bounded gaps, no
repetition inside a repetition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from routing.quoted import Quoted
from routing.span import Span

# said about the matter itself: somebody must act now
_STRONG = re.compile(
    r"\b(?:urgent(?:ly|e)?|emergency|asap|a\.s\.a\.p\.?|as\s{1,3}soon\s{1,3}as\s{1,3}(?:humanly\s{1,3})?possible"
    r"|immediate(?:ly)?|right\s{1,3}away|at\s{1,3}once|time[- ]critical|time[- ]sensitive"
    r"|business[- ]critical|mission[- ]critical|top\s{1,3}priority|highest\s{1,3}priority"
    r"|drop\s{1,3}everything|dringend|eilt|sofort|umgehend|schnellstm\w{1,3}glich|urgence)\b",
    re.IGNORECASE,
)
# something is broken or somebody is stuck: soon, even where nobody says so
_TROUBLE = re.compile(
    r"\b(?:outage|(?:system|site|website|server|service|network|production|everything)\s{1,3}(?:is|are|went|has\s{1,3}gone)\s{1,3}"
    r"(?:completely\s{1,3})?down|security\s{1,3}(?:breach|incident)|data\s{1,3}(?:breach|loss|leak)|been\s{1,3}hacked"
    r"|locked\s{1,3}out|cannot\s{1,3}work|can['’]t\s{1,3}work|unable\s{1,3}to\s{1,3}work|critical(?:ly)?|important"
    r"|final\s{1,3}(?:notice|reminder|warning)|last\s{1,3}(?:reminder|warning)|past\s{1,3}due|overdue"
    r"|high\s{1,3}priority|escalat(?:e|ed|ing|ion)|legal\s{1,3}action)\b",
    re.IGNORECASE,
)
_LEISURE = re.compile(
    r"\b(?:no\s{1,3}(?:rush|hurry|urgency|pressure)|not?\s{1,3}(?:\w{1,12}\s{1,3}){0,2}urgent|isn['’]t\s{1,3}(?:\w{1,12}\s{1,3}){0,2}urgent"
    r"|nothing\s{1,3}urgent|non-?urgent|low\s{1,3}priority|take\s{1,3}your\s{1,3}time"
    r"|when(?:ever)?\s{1,3}(?:you|it)\s{1,3}(?:have|get|find|is|suits|are|can)\s{1,3}(?:a\s{1,3}chance|a\s{1,3}moment|(?:some\s{1,3}|the\s{1,3})?time|convenient|you|free)"
    r"|at\s{1,3}your\s{1,3}(?:leisure|convenience|earliest\s{1,3}leisure)|can\s{1,3}wait|no\s{1,3}need\s{1,3}to\s{1,3}(?:hurry|rush|reply|respond|answer)"
    r"|no\s{1,3}(?:reply|response|answer|action)\s{1,3}(?:is\s{1,3})?(?:needed|required|necessary)|just\s{1,3}(?:an?\s{1,3})?fyi"
    r"|for\s{1,3}your\s{1,3}information|nicht\s{1,3}(?:\w{1,12}\s{1,3})?dringend|nicht\s{1,3}eilig|keine\s{1,3}eile|pas\s{1,3}urgent|sans\s{1,3}urgence)\b",
    re.IGNORECASE,
)
# a word of urgency that these stand before is denied or conditional: "not an emergency",
# "no immediate action", "for urgent matters call …", "in case of emergency"
_DENIED = re.compile(
    r"(?:\b(?:not|no|non|never|nothing|neither|nor|without|hardly|kein|keine|nicht|pas|cannot)|n['’]t|non-)"
    r"(?:\s{1,3}(?:really|very|that|so|too|an|a|the|super|overly|particularly|especially|terribly|longer|yet|as|at|all"
    r"|be|been|is|it|of|any|need|needed|require|required|exactly|currently|sehr|so|mehr)){0,4}[\s\"'*_(-]{0,4}\Z",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(
    r"\b(?:(?P<always>(?:if|unless)"
    r"(?:\s{1,3}(?:it|this|that|the|your|matter|is|are|request|enquiry|inquiry|you|have|an?)){0,5}"
    r"|in\s{1,3}(?:an|any|case|the\s{1,3}event|the\s{1,3}case)(?:\s{1,3}(?:of|an|any|a|real)){0,3})"
    r"|(?:for|in|with|about|of)(?:\s{1,3}(?:any|all|an|other|more|the|really|truly)){0,3})"
    r"[\s\"'*_(]{0,4}\Z",
    re.IGNORECASE,
)
# "for urgent matters", "an urgent case": only what follows shows that it speaks of cases
_OF_CASES = re.compile(
    r"\s{1,3}(?:matters?|cases?|enquir\w{1,5}|inquir\w{1,5}|issues?|calls?|contact|number|hotline|line|service|services"
    r"|department|room|exit|care|situations?|requests?|please\s{1,3}(?:call|contact|phone|ring)|call|requirements?)",
    re.IGNORECASE,
)
_BEFORE = 60  # characters before a word in which its denial is looked for


def _said(pattern: re.Pattern[str], text: str, quoted: Quoted, weight: float) -> Iterator[Span]:
    """Yield each match that the sender wrote now and neither denied nor made conditional."""
    for match in pattern.finditer(text):
        start, end = match.span()
        if start in quoted:
            continue
        # a line's end inside the window starts a new thought: a signature, another sentence
        before = re.split(r"\n|[.!?;:,]\s", text[max(0, start - _BEFORE) : start])[-1]
        if _DENIED.search(before):
            continue
        condition = _CONDITIONAL.search(before)
        if condition and (condition["always"] or _OF_CASES.match(text, end)):
            continue
        yield Span(start, end, weight)


def strong(text: str, quoted: Quoted) -> list[Span]:
    """Return where the sender says that this cannot wait."""
    return list(_said(_STRONG, text, quoted, 1.0))


def trouble(text: str, quoted: Quoted) -> list[Span]:
    """Return where something is broken, overdue, important or escalated."""
    return list(_said(_TROUBLE, text, quoted, 0.7))


def leisure(text: str, quoted: Quoted) -> list[Span]:
    """Return where the sender says that this can wait, or wants no answer."""
    return [
        Span(*match.span(), 0.8) for match in _LEISURE.finditer(text) if match.start() not in quoted
    ]
