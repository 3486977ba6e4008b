"""Where a mail's own words end and the signature begins."""

from __future__ import annotations

import re

from intake.mail.phrases import pattern

_DEVICE = pattern(
    r"sent (?:wirelessly )?(?:from|via|with|by|using)\b",
    r"(?:get|download) (?:outlook|bluemail|the new)\b",
    r"(?:télécharge[rz]|obtene[rz]|obtenir|scarica|baixar?|obter|hämta|hent|pobierz) outlook\b",
    r"outlook (?:für|voor|para|til|för|for) .{2,20} (?:beziehen|herunterladen|downloaden|ophalen)",
    "(?:获取|獲取|下载|下載).{0,12}outlook",
    ".{2,12}outlook ?を入手",
    "sent on the go",
    r"(?:von|mit) mein\w* .{0,60} (?:gesendet|geschickt)",
    r"gesendet (?:von|mit|über|aus)\b",
    "diese nachricht wurde von meinem",
    r"envoy[eé] (?:de|depuis|à partir|avec|via|sans fil)\b",
    r"enviad[oa] (?:desde|de|do|da|via|por)\b",
    r"inviato (?:da|dal|con|tramite)\b",
    r"(?:verzonden|verstuurd) (?:vanaf|met|via|door|van)\b",
    r"skickat (?:från|med)\b",
    r"sendt (?:fra|via|med)\b",
    r"lähetetty\b",
    r"wysłan[eoy] (?:z|za|przy)\b",
    r"odesláno z\b",
    r"odoslané z\b",
    r"отправлено (?:с|из|от)\b",
    r"küldve\b",
    "(?:iphone|ipad|android|スマートフォン|ソフトバンク).{0,10}から送信",
    "发自我?的?",
    "從我的",
    "来自我的",
    "나의 .{0,20}에서 보냄",
    "내 .{0,30}에서 보냄",
    "yahoo!? mail (?:for|on|stationery)",
    "posted (?:via|from)",
    r"composed on\b",
    "tapatalk",
    "iPhonumdan",
    "trimis de pe",
    r"from my .{1,20}\Z",
    r"\w{2,20} from mobile\Z",
    "från min",
    "gönderildi:?",
    r"this (?:mail|message) was sent (?:from|via) (?:my|a)\b",
    "sent from",
    prefix=r"\W{0,3}",
)
DEVICE_CHARACTERS = 110

_SENTENCE = re.compile(
    r"\b(?:is|was|are|were|but|because|yesterday|today|so|when|than|then)\b", re.I
)
_DELIMITER = re.compile(r"[ \t]{0,3}(?:--|-- -+|——?|––?|__)[ \t]*\Z")
_RULE = re.compile(r"\s*(?:_{3,}|-{3,}|={4,}|\*{4,}|—{2,}|–{2,}|~{4,}|#{6,}|(?:-\s){4,}-?)\s*\Z")
_DASH_NAME = re.compile(r"\s{0,3}(?:--?|—|–|~)\s?[^\W\d_][\w.'’]*(?:\s[^\W\d_][\w.'’]*){0,3}\s*\Z")
_FOOTER = pattern(
    "mailing list",
    "unsubscribe|abbestellen|désabonn|cancelar suscripci",
    "listinfo|mailman",
    "do you yahoo",
    "get your free|msn|hotmail|yahoo! mail",
    "you (?:received|are receiving) this",
    "view (?:it|this) on",
)
_LINK = re.compile(r"<https?://[^\s<>]{1,1500}>")
_CONTACT = re.compile(r"\S@\S+\.\w|https?://|www\.\S|\+?\(?\d[\d ()/.-]{6,}\d")
_NAMED = re.compile(r"\W{0,3}[^\W\d_][^\n:.?!]{1,40}\Z")
_NAME_ALONE = re.compile(r"[^\W\d_a-z][\w.'’-]{1,20}(?:\s[^\W\d_a-z][\w.'’-]{0,20}){0,3}\Z")
SIGNATURE_LINES = 20
CARD_LINES = 10
CARD_CHARACTERS = 80
FOOTER_LINES = 10


def is_delimiter(line: str) -> bool:
    """Say whether a line is the delimiter of a signature ("-- ")."""
    return _DELIMITER.match(line) is not None


def is_rule(line: str) -> bool:
    """Say whether a line is a drawn line."""
    return _RULE.match(line) is not None


def is_footer(lines: list[str]) -> bool:
    """Say whether lines below a drawn line are what a mailing list or free mailer adds."""
    filled = [line for line in lines if line.strip()]
    return 0 < len(filled) <= FOOTER_LINES and any(_FOOTER.search(line) for line in filled)


def is_card(lines: list[str]) -> bool:
    """Say whether lines below a drawn line are a visiting card: a name, then how to reach it."""
    filled = [line.strip() for line in lines if line.strip()]
    if len(filled) == 1:
        return _NAME_ALONE.match(filled[0]) is not None
    if not 2 <= len(filled) <= CARD_LINES or not _NAMED.match(filled[0]):
        return False
    if len(filled[0].split()) > 5 or any(len(line) > CARD_CHARACTERS for line in filled):
        return False
    return any(_CONTACT.search(line) for line in filled[1:])


def is_device_line(line: str) -> bool:
    """Say whether a line is what a telephone or mail program signs with."""
    line = _LINK.sub("", line[:2_000])
    return (
        len(line) < DEVICE_CHARACTERS
        and _DEVICE.match(line) is not None
        and _SENTENCE.search(line.partition("please")[0]) is None
    )


def is_dash_name(line: str) -> bool:
    """Say whether a line is a name after a dash, as some people sign."""
    return len(line) < 60 and _DASH_NAME.match(line) is not None
