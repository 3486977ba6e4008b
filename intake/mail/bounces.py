"""Reports that a mail did not arrive: RFC 3464 where it is kept, and what servers write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from intake.mail.addresses import parse_addresses
from intake.mail.headers import Headers, read_headers
from intake.mail.phrases import pattern
from intake.mail.structure import Part
from intake.parsed import Bounce

READ_CHARACTERS = 20_000  # of a report's text; what follows is the mail that came back

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY_CODE = re.compile(r"(?<![\d.:/-])([45])([0-5]\d)(?=[ \-:;,.)]|\Z)")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,128}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")

_SENDER = pattern(
    "mailer[-_ ]?daemon",
    "postmaster",
    "mail[-_ ]?delivery",
    "mail[-_ ]?daemon",
    "mdaemon",
    "mail administrator",
    "delivery (?:sub)?system",
    r"\bmmdf\b",
    "mail (?:system|router)",
    "bounce",
    "smtp gateway",
    "nobody@",
    "system ?administrator",
    "microsoft exchange",
    r"\bx400\b",
    "email router",
    "returned mail",
)
_SUBJECT = pattern(
    r"un(?:deliver|zustell)\w*",
    r"non[-\s]?(?:deliver|remis|recapit)\w*",
    "not (?:be )?delivered",
    r"deliver(?:y|ing)\W+(?:status|fail\w*|error|notification|problem|report|has failed"
    r"|unsuccess\w*|delay\w*|of|to)\b",
    r"fail(?:ed|ure)\W+(?:notice|deliver\w*|mail|to deliver|message)",
    r"deliver\w* (?:fail|delay)\w*",
    r"mail\W+(?:delivery|system error|failure|error|could not|was not|not delivered"
    "|delivery problem)",
    r"message (?:delivery|not delivered|undeliver\w*|status|delayed|returned)",
    r"return(?:ed|ing)\W+(?:mail|message|to sender|email)",
    r"warning:\W+(?:could not send|message|e?-?mail)",
    r"bounce\w*",
    "could not (?:send|deliver|be delivered)",
    "cannot (?:send|deliver)",
    r"\bndr\b",
    r"\bndn\b",
    "delayed mail",
    "unknown (?:user|address|recipient)",
    "user unknown",
    "rejected mail",
    "host unknown",
    "unable to deliver",
    "problems? deliver",
    "mail not sent",
    "nicht (?:zustellbar|zugestellt)",
    "zustellung",
    "zur[uü]ckgewiesen",
    "[eé]chec",
    "non remis",
    r"no entreg\w*",
    "mancat[oa] ",
    "errore? di consegna",
    "niet (?:worden )?bezorg",
    "onbestelbaar",
    "kan niet bezorg",
    "devoluci",
    "fallo en",
    "n[aã]o entreg",
    "falha na entrega",
    "niedostarcz",
    "не доставлен",
    "недоставлен",
    "配信(?:不能|エラー|失敗)",
    "退信",
    "无法(?:投递|送达)",
    "系统退信",
    "반송",
    "ilet[ie]",
)
_FAILED = pattern(
    r"un(?:known|routeable|deliverable|reachable|resolvable)\b",
    "(?:could|can|was|were|has|have|is|did|will)(?: ?not|n't) (?:be |been "
    "|able to be )?(?:deliver|reach|send|sent|complet|accept|found|find|exist|resolv)",
    r"(?:delivery|message|mail|email|e-mail|recipient|address\w*)[^.\n]{0,60} (?:fail"
    "|reject|refus|error|undeliver|bounced|return)",
    "no such (?:user|recipient|address|mailbox|person|account|domain|host)",
    "(?:user|mailbox|recipient|address|account|host|domain) (?:is )?(?:unknown|not found"
    "|unavailable|disabled|full|inactive|invalid|over)",
    "(?:fatal|permanent|transient|delivery) (?:fatal )?(?:error|failure)",
    "does ?n[o']t (?:exist|have)",
    "over (?:the )?quota",
    "quota exceeded",
    "exceed(?:s|ed)",
    "sorry it didn't work",
    "unable to (?:deliver|send|relay|complete)",
    "retry time",
    "giving up",
    "was (?:undeliverable|not delivered|returned)",
    "following (?:address|recipient|error)",
    "konnte nicht ",
    "nicht zu(?:ge)?stell",
    "n'a pas pu",
    "n[o'e] (?:se )?pu(?:do|ede) ",
    "non [eè] stato",
    "mailbox (?:is )?full",
    "account (?:has been )?(?:disabled|closed|suspended)",
    r"\b55\d\b",
    r"\b45\d\b",
)
_DELAYED = pattern(
    "delay(?:ed)?",
    "warning (?:message )?only",
    "(?:will|we'll|shall) (?:be )?(?:keep|continue|retr|still be)",
    "not yet (?:been )?deliver",
    "still (?:being )?(?:trying|undelivered|attempting)",
    "do(?: not|n't) need to (?:resend|retransmit|do)",
    "no action is required",
    "deferred",
    "retries will",
    "delivery attempts will",
    "kein handeln",
    "verz[oö]ger",
)
_TRANSIENT = pattern(
    "mailbox (?:is )?(?:full|exceed)",
    "over (?:the |disk )?quota",
    "quota (?:is )?exceed",
    "timed? ?out",
    "temporar",
    "try again later",
    "connection refused",
    "too (?:busy|many connections)",
    r"exceed\w* (?:\w+ ){0,3}(?:quota|storage)",
    "insufficient (?:system )?(?:storage|disk)",
)
# From here on a report shows the mail that came back
_RETURNED = pattern(
    r"-+\s*(?:below this line is|this is a copy|original message|unsent message"
    "|returned (?:mail|message)|the header|message (?:header|follows|text)|undelivered"
    "|start of|begin|transcript of original|enclosed)",
    "(?:the )?(?:original|returned|undelivered|unsent) (?:message|mail)(?: (?:follows"
    "|header|text|was|is))?",
    "received: ",
    "return-path: ",
    "message-id: ",
    "content-type: multipart",
    prefix=r"^\W*",
)


@dataclass
class _Recipient:
    """One recipient's fields in a delivery report."""

    address: str | None
    action: str
    status: str | None


def find_bounce(root: Part, subject: str, text: str) -> Bounce | None:
    """Return what a delivery report says of the first recipient it failed, or None if it is none.

    A report of abuse, a read receipt, a report of success and an automatic answer are none.
    """
    kind = root.parameters.get("report-type", "").lower()
    if root.type == "multipart/report" and kind in ("disposition-notification", "feedback-report"):
        return None
    reports = [part for part in root.walk() if part.type in DELIVERY_REPORTS]
    if reports:
        return _from_report(reports, root.headers, text)
    return _from_text(root, subject, text)


DELIVERY_REPORTS = frozenset(
    ("message/delivery-status", "message/global-delivery-status", "message/deliverystatus")
)


def _from_report(reports: list[Part], headers: Headers, text: str) -> Bounce | None:
    recipients = [found for report in reports for found in _read_report(report)]
    failed = [found for found in recipients if found.action not in SUCCESSES]
    if recipients and not failed:
        return None
    told = _cut_returned(text)
    best = next((one for one in failed if one.action == "failed"), failed[0] if failed else None)
    if best is None:
        return _bounce(_recipient_in(headers, told), _status_in(told), told)
    status = best.status or _status_in(told)
    if status is None:
        status = "4.0.0" if best.action == "delayed" else "5.0.0"
    recipient = best.address or _recipient_in(headers, told)
    return Bounce(recipient, status, status.startswith("5"))


SUCCESSES = frozenset(("delivered", "relayed", "expanded", "deliverable"))


def _read_report(report: Part) -> list[_Recipient]:
    """Return the recipients of one delivery-status part: blocks of fields after the first."""
    data = memoryview(report.decoded()[0])
    found: list[_Recipient] = []
    place = 0
    while place < len(data) and len(found) < 200:
        block, used = read_headers(data[place:], top=True)
        place += max(used, 1)
        if used == 0:
            break
        address = _report_address(block)
        action = block.text("action").lower().split(" ")[0].split(";")[0].strip()
        status = _status_in(block.text("status")) or _status_in(
            block.text("diagnostic-code"), with_codes=True
        )
        if address or action or status:
            if status and status.startswith("2") and action == "failed":
                status = None
            found.append(_Recipient(address, action, status))
    return found


def _report_address(block: Headers) -> str | None:
    for name in ("final-recipient", "original-recipient", "x-actual-recipient"):
        value = block.text(name)
        if value:
            address = _ADDRESS.search(value.rpartition(";")[2])
            if address:
                return address[0]
    value = block.text("final-recipient").rpartition(";")[2].strip(" <>")
    return value or None


def _status_in(text: str, *, with_codes: bool = True) -> str | None:
    match = _STATUS.search(text)
    if match:
        return match[0]
    code = _REPLY_CODE.search(text) if with_codes else None
    return f"{code[1]}.0.0" if code else None


def _cut_returned(text: str) -> str:
    text = text[:READ_CHARACTERS]
    match = _RETURNED.search(text)
    return text[: match.start()] if match and match.start() > 40 else text


def _from_text(root: Part, subject: str, text: str) -> Bounce | None:
    headers = root.headers
    told = _cut_returned(text)
    evidence = _evidence(root, headers, subject, told)
    if evidence < 4:
        return None
    return _bounce(_recipient_in(headers, told), _status_in(told), told, subject)


def _evidence(root: Part, headers: Headers, subject: str, told: str) -> int:
    """Weigh the signs that this reports a failed delivery; four are enough."""
    sender = headers.text("from") or headers.text("sender")
    points = 0
    points += 2 * bool(_SENDER.search(sender))
    points += 2 * bool(_SUBJECT.search(subject))
    points += 3 * ("x-failed-recipients" in headers)
    points += any(value.strip() == b"<>" for value in headers.all("return-path"))
    points += bool(_FAILED.search(told))
    points += bool(_STATUS.search(told))
    points += any(part.type in ("message/rfc822", "text/rfc822-headers") for part in root.walk())
    if re.match(r"(?:re|fwd?|aw|wg)\s*:", subject, re.IGNORECASE):
        points -= 2
    return points


def _bounce(recipient: str | None, status: str | None, told: str, subject: str = "") -> Bounce:
    if status is None:
        delayed = _DELAYED.search(told) or _DELAYED.search(subject)
        status = "4.0.0" if delayed or _TRANSIENT.search(told) else "5.0.0"
    return Bounce(recipient, status, status.startswith("5"))


def _recipient_in(headers: Headers, told: str) -> str | None:
    for name in ("x-failed-recipients", "x-original-to", "x-actual-recipient"):
        for failed in parse_addresses(headers.decoded(headers.raw(name))):
            if "@" in failed.address:
                return failed.address
    senders = {
        address.address.lower()
        for name in ("from", "to", "return-path", "delivered-to")
        for address in parse_addresses(headers.decoded(headers.raw(name)))
    }
    for match in _ADDRESS.finditer(told):
        address = match[0].strip(".'")
        local = address.partition("@")[0].lower()
        if address.lower() not in senders and not _SENDER.search(local):
            return address
    return None
