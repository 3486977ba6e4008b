"""Reports that a mail did not arrive: RFC 3464 where it is kept, and what servers write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from intake.mail.addresses import parse_addresses
from intake.mail.headers import Headers, read_headers
from intake.mail.phrases import pattern
from intake.mail.structure import Part, parse_message
from intake.mail.titles import AUTO_REPLY_SUBJECT
from intake.parsed import Bounce

RECIPIENTS = 200  # of one report, and lines of one that is only text
READ_CHARACTERS = 20_000  # of a report's text; what follows is the mail that came back

_STATUS = re.compile(r"(?<![\d.])([245])\.([0-7])\.(\d{1,3})(?![\d.]*\d)")
_REPLY_CODE = re.compile(r"(?<![\d.:/#-])([45])([0-5]\d)(?=[ \-:;,.)\]]|\Z)")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,128}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")

_SENDER = pattern(
    "mailer[-_ ]?daemon",
    "post[-_.]?master",
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
    "(?:メール|送信)エラー|エラー通知",
    "退信",
    "无法(?:投递|送达)",
    "系统退信",
    "반송",
    "ilet[ie]",
)
# A sentence that servers write and people hardly do
_SERVER_SAYS = pattern(
    "(?:could|can|was|has|have) ?not (?:be|been) (?:delivered|sent|reached|completed)",
    "can't be (?:delivered|sent|reached)",
    "unable to (?:deliver|send|relay|complete)",
    "(?:wasn't|was not|were not) (?:able to )?deliver",
    "(?:has|have) been (?:returned|rejected|refused)",
    "did not reach the following",
    "(?:permanent|fatal|delivery) (?:fatal )?(?:error|failure)",
    "non-?delivery report",
    "failed recipients?",
    "undeliver(?:able|ed)",
    "deliver(?:y|ing) (?:to|of|has|your|attempt)[^.\n]{0,60} (?:fail|delay|not)",
    "following (?:address|recipient|error|user)",
    "no such (?:user|recipient|address|mailbox|person|account|domain|host)",
    r"(?:user|mailbox|recipient|address|account|host|domain) (?:is )?(?:unknown|not found)\b",
    "unknown (?:user|recipient|host|address|local)",
    "(?:recipient|address|mailbox) (?:was |is |has been )?(?:reject|unavailable|disabled|invalid)",
    "over (?:the |disk )?quota|quota exceeded|mailbox (?:is )?full",
    "message (?:that )?you sent",
    "automatically rejected",
    "returned to (?:sender|you)",
    "giving up|given up",
    "konnte nicht (?:zugestellt|ausgeliefert|übermittelt)",
    "nicht zugestellt|unzustellbar",
    "n'a pas (?:pu|été)[^.\n]{0,40} (?:deli|remis|distribu|achemin|envoy)",
    "no (?:se )?(?:ha )?(?:podido|pudo|puede) (?:ser )?(?:entreg|envi)",
    "non (?:è stato possibile|ha potuto|può essere)[^.\n]{0,30} (?:consegn|recapit|invi)",
    "não (?:foi possível|pôde ser|pode ser) (?:entreg|envi)",
    "kon niet (?:worden )?(?:bezorgd|afgeleverd)",
    "配信(?:できません|不能)|送信できません|投递(?:失败|不成功)|无法(?:投递|送达)|退回",
    "не (?:может|могло|удалось|было)[^.\n]{0,30} (?:достав|отправ)",
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
    rejected = "rejected" in root.headers.text("auto-submitted").lower()
    if root.type == "multipart/report" and (
        kind == "feedback-report" or (kind == "disposition-notification" and not rejected)
    ):
        return None
    reports = _reports(root)
    if reports:
        return _from_report(reports, root, text)
    return _from_notification(text) or _from_text(root, subject, text)


_NOTIFIED = re.compile(r'\s*\{\s*"(?:notification|event)Type"\s*:\s*"Bounce"', re.IGNORECASE)
_NOTIFIED_VALUE = re.compile(r'"(bounceType|emailAddress|status)"\s*:\s*"([^"]{1,300})"')


def _from_notification(text: str) -> Bounce | None:
    """Return what Amazon's mail service tells as JSON; the first recipient's part of it."""
    if not _NOTIFIED.match(text):
        return None
    told: dict[str, str] = {}
    for match in _NOTIFIED_VALUE.finditer(text[:READ_CHARACTERS]):
        told.setdefault(match[1], match[2])
    lasting = told.get("bounceType", "").lower() == "permanent"
    status = _status_in(told.get("status", "")) or ("5.0.0" if lasting else "4.0.0")
    return Bounce(told.get("emailAddress"), status, status.startswith("5"))


DELIVERY_REPORTS = frozenset(
    ("message/delivery-status", "message/global-delivery-status", "message/deliverystatus")
)
SUCCESSES = frozenset(("delivered", "relayed", "expanded", "deliverable"))


def _reports(root: Part) -> list[Part]:
    """Return the delivery-status parts; of an attached report too, where the mail is only that."""
    found = [part for part in root.walk() if part.type in DELIVERY_REPORTS]
    if found:
        return found
    attached = next((part for part in root.walk() if part.type == "message/rfc822"), None)
    if attached is None:
        return []
    is_report = "delivery-status" in root.parameters.get("report-type", "").lower()
    # a mail server that sends on another one's report; a person who does asks about it
    if not (is_report or _DAEMON.search(root.headers.text("from"))):
        return []
    inner = parse_message(attached.decoded()[0], depth=3)
    if not (is_report or "delivery-status" in inner.parameters.get("report-type", "").lower()):
        return []
    return [part for part in inner.walk() if part.type in DELIVERY_REPORTS]


def _from_report(reports: list[Part], root: Part, text: str) -> Bounce | None:
    recipients = [found for report in reports for found in _read_report(report)]
    failed = [found for found in recipients if found.action not in SUCCESSES]
    if recipients and not failed:
        return None
    told = _cut_returned(text)
    best = next((one for one in failed if one.action == "failed"), failed[0] if failed else None)
    if best is None:
        return _bounce(_recipient_in(root, told, text), _status_in(told), told)
    status = best.status or _status_in(told)
    if status is None:
        status = "4.0.0" if best.action == "delayed" else "5.0.0"
    recipient = best.address or _recipient_in(root, told, text)
    return Bounce(recipient, status, status.startswith("5"))


def _read_report(report: Part) -> list[_Recipient]:
    """Return the recipients of one delivery-status part: blocks of fields after the first."""
    data = memoryview(report.decoded()[0])
    found: list[_Recipient] = []
    place = 0
    while place < len(data) and len(found) < RECIPIENTS:
        block, used = read_headers(data[place:], top=True)
        place += used
        if used == 0:
            break
        address = _report_address(block)
        action = block.text("action").lower().split(" ")[0].split(";")[0].strip()
        status = _status_in(block.text("status")) or _status_in(block.text("diagnostic-code"))
        if status and status.startswith("2") and action == "failed":
            status = None
        if address or action or status:
            found.append(_Recipient(address, action, status))
    return found


def _report_address(block: Headers) -> str | None:
    """Return whom the sender wrote to, rather than where that was forwarded."""
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        value = block.text(name)
        address = _ADDRESS.search(value.rpartition(";")[2]) if value else None
        if address and "." in address[0].rpartition("@")[2]:
            return address[0]
    value = block.text("final-recipient").rpartition(";")[2].strip(" <>")
    return value or None


def _status_in(text: str) -> str | None:
    """Return the first status of a failure in a text, from a reply code if need be."""
    match = _STATUS.search(text)
    if match:
        return match[0]
    code = _REPLY_CODE.search(text)
    return f"{code[1]}.0.0" if code else None


_QUOTED = re.compile(r"^>[ >](?!>).*\n?", re.MULTILINE)


def _cut_returned(text: str) -> str:
    """Return a report without the mail that it returns, and without what people quote of one."""
    text = _QUOTED.sub("", text[:READ_CHARACTERS])
    match = _RETURNED.search(text, 40)
    return text[: match.start()] if match else text


def _from_text(root: Part, subject: str, text: str) -> Bounce | None:
    machine = _machine_signs(root)
    if not machine and not _SUBJECT.search(subject):
        return None
    told = _cut_returned(text)
    returned = _RETURNED.search(text, 40, READ_CHARACTERS)
    if _evidence(root, machine, subject, told, returned=returned is not None) < ENOUGH:
        return None
    status = _status_in(told)
    if status is not None and status.startswith("2"):
        status = None
    return _bounce(_recipient_in(root, told, text), status, told, subject)


ENOUGH = 4
SAID_CHARACTERS = 3_000  # a report says early that it is one
_REPLY_LINE = re.compile(r"^\W{0,8}[45][0-5]\d[ -]\W*\w", re.MULTILINE)
_ADDRESS_ANNOUNCED = re.compile(
    r"deliver[^\n]{0,60}\n\s{0,20}[<\"']{0,2}[A-Za-z0-9._%+=-]{1,64}@[A-Za-z0-9.-]{1,100}[>\"':]{0,3}\s*\n"
)


def _machine_signs(root: Part) -> int:
    """Weigh the signs in a mail's fields that a mail server wrote it."""
    headers = root.headers
    sender = f"{headers.text('from')} {headers.text('sender')}"
    answers = headers.text("auto-submitted").lower()
    paths = [value.strip(b" <>").lower() for value in headers.all("return-path")]
    points = 3 if _DAEMON.search(sender) else 2 * bool(_SENDER.search(sender))
    points += 3 * ("x-failed-recipients" in headers)
    points += any(path in (b"", b"mailer-daemon") for path in paths)
    points += bool(answers) and answers != "no"
    points += 2 * (root.type == "multipart/report")
    return points


def _evidence(root: Part, machine: int, subject: str, told: str, *, returned: bool) -> int:
    """Weigh the signs that this reports a failed delivery.

    What it says is only half of it: people write about deliveries that failed, too. Without a
    sign that a program wrote it, nothing is enough.
    """
    machine += returned or any(
        part.type in ("message/rfc822", "text/rfc822-headers") for part in root.walk()
    )
    told = told[:SAID_CHARACTERS]
    machine += _STATUS.search(told) is not None or _REPLY_LINE.search(told) is not None
    machine += _ADDRESS_ANNOUNCED.search(told) is not None
    if not machine:
        return 0
    said = 2 * bool(_SUBJECT.search(subject)) + 2 * bool(_SERVER_SAYS.search(told))
    if machine < 3 and _ANSWERED.match(subject) and not _LATE_SUBJECT.search(subject):
        said -= 2
    if AUTO_REPLY_SUBJECT.match(subject):
        said -= 3
    return machine + said


def _bounce(recipient: str | None, status: str | None, told: str, subject: str = "") -> Bounce:
    if status is None:
        delayed = _DELAYED.search(told) or _DELAYED.search(subject)
        status = "4.0.0" if delayed else "5.0.0"
    return Bounce(recipient, status, status.startswith("5"))


def _recipient_in(root: Part, told: str, text: str) -> str | None:
    """Return the address that a report in plain words is most likely about."""
    headers = root.headers
    for name in ("x-failed-recipients", "x-actual-recipient"):
        for failed in parse_addresses(headers.decoded(headers.raw(name))):
            if "@" in failed.address:
                return failed.address
    ours = {
        address.address.lower()
        for name in ("from", "to", "sender", "return-path", "delivered-to", "errors-to")
        for address in parse_addresses(headers.decoded(headers.raw(name)))
    }
    best: tuple[int, str] = (-2, "")
    announced = 0  # lines since the report said that recipients follow
    for line in told.split("\n")[:RECIPIENTS]:
        announced = 4 if _ANNOUNCES.search(line) else announced - bool(line.strip())
        for match in _ADDRESS.finditer(line):
            address = match[0].strip(".'\"").removeprefix("SMTP=")
            points = _likelihood(line, match, announced > 0) - 4 * (address.lower() in ours)
            if points > best[0] and "@" in address:
                best = (points, address)
    return best[1] or _returned_recipient(root, text, ours)


def _likelihood(line: str, match: re.Match[str], announced: bool) -> int:
    before, after = line[: match.start()], line[match.end() :]
    points = 1 if announced else 0
    if not before.strip(" \t<>\"'*-:([") and not after.strip(" \t<>\"'*.:;,)]"):
        points += 3  # a line of its own
    elif not before.strip(" \t<\"'*-") and after.lstrip(">\"' ").startswith((":", "...", "on ")):
        points += 3
    elif not before.strip(" \t<\"'*-"):
        points += 2
    if _BEFORE_RECIPIENT.search(before):
        points += 3
    if _BEFORE_OTHERS.search(before) or _SENDER.search(match[0].partition("@")[0]):
        points -= 4
    return points


def _returned_recipient(root: Part, text: str, ours: set[str]) -> str | None:
    """Return whom the returned mail was for, where it was for one address only."""
    returned = [
        part.decoded()[0]
        for part in root.walk()
        if part.type in ("message/rfc822", "text/rfc822-headers", "message/partial")
    ]
    cut = _RETURNED.search(text, 40, READ_CHARACTERS)
    if cut:  # in the text itself, below a line that says so
        below = text[cut.start() : cut.start() + READ_CHARACTERS]
        head = re.search(r"^[A-Z][\w-]{1,40}:[ \t]", below, re.MULTILINE)
        returned.append(below[head.start() :].encode("utf-8", "replace") if head else b"")
    for data in returned:
        headers, _ = read_headers(memoryview(data), top=True)
        for name in ("x-failed-recipients", "x-original-to", "delivered-to", "to"):
            found = [
                address.address
                for address in parse_addresses(headers.decoded(headers.raw(name)))
                if "@" in address.address and address.address.lower() not in ours
            ]
            if len(found) == 1:
                return found[0]
    return None


_ANNOUNCES = pattern(
    "(?:following|failed|these|intended) (?:address|recipient|user|mail|destination|message)",
    "recipients?(?:\\(s\\))?:?$",
    "(?:permanent|transient)[^\n]{0,20} (?:fatal )?errors?",
    "address(?:es)?(?:\\(es\\))? failed",
    "not (?:be )?deliver(?:ed|able)",
    "empfänger|destinatari|destinataire|ontvanger|получател|収件者|收件人|宛先",
)
_BEFORE_RECIPIENT = pattern(
    "recipients?",
    "address(?:es|ed to)?",
    "undeliverable",
    "deliver(?:ed|y|able)?(?: of your message)? (?:to|for)",
    "(?:message|mail|e-mail|email|sent) (?:to|for)",
    "mailbox|user(?:name)?|account|rcpt to|destinat\\w+|empfänger|an die adresse",
    suffix=r"[^@\n]{0,40}\Z",
)
_BEFORE_OTHERS = pattern(
    "^[> ]*(?:from|sender|reply-to|cc|subject|message-?id|date|references|errors-to)\\s*:",
    "contact|postmaster|help|questions?|support|expanded from|generated from|alias",
    "reporting|received|by \\(|mail from|sent by|via",
    suffix=r"[^@\n]{0,60}\Z",
)
_ANSWERED = pattern("re", "fwd?", "aw", "wg", "sv", "tr", "rv", suffix=r"\s*:")
_DAEMON = pattern("mailer[-_ ]?daemon", "mail[-_ ]?daemon", "mail delivery (?:sub)?system")
# "Re: your subject: not delivered", as some servers answer
_LATE_SUBJECT = pattern(
    "not delivered", "undeliver\\w+", "non remis", suffix=r"(?:\W|\([^)]*\))*\Z"
)
