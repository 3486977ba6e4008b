"""How mail programs introduce what they quote, in the languages they speak."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from intake.mail.phrases import any_of, pattern

_WROTE = any_of(
    *("wrote", "writes", "said", "says", "sent", "wrote on"),
    *("schrieb(?:en)?", r"schreib\w*", "geschrieben"),
    *("a écrit", "écrit", "a ecrit", "nous a dit"),
    *("escribi[oó]", "escreveu", "va escriure", "escriu"),
    *("ha scritto", "scrisse", "a scris"),
    *("schreef", "geschreven", "skrev", "skrifaði", "kirjoitti", "kirjutas"),
    *("pisze", r"napisał(?:\(a\))?", r"napisa[lł]a?", r"napsal\(a\)", "napsala?", "nap[ií]sala?"),
    *(r"je napisa\w*", r"напис\w+", "пишет", "пише", r"писал\w*", "rašė", "rakstīja"),
    *("írta", "yazd[ıi]", "şunları yazdı", "έγραψε", "idatzi zuen", "menulis"),
    *("đã viết", "viết", r"כתב\S*", "كتب", "เขียน(?:ว่า)?"),
)
# Languages that put no blank around the verb
_WROTE_JOINED = any_of(
    *("写道", "寫道", "写了", "님이\\s*작성", "작성", "のメール", "のメッセージ", "は書きました"),
    *(r"さんは\S{0,12}書きました", "さんからのメール"),
)
_VERB = re.compile(rf"(?<!\w)(?:{_WROTE})(?!\w)|{_WROTE_JOINED}", re.IGNORECASE)
_OPENERS = any_of(
    *("on", "quoting", "in message", "at", "le", "am", "em", "el", "il", "op", "den", "på", "pe"),
    *("w dniu", "dnia", "dňa", "dne", "ma", "klo", "fecha", "vào", "în", "no dia", "a", "στις"),
    *("в", "на", "от", "sent from", "из", "w"),
)
_OPENER = re.compile(rf"(?:[-_–—*]{{2,}}\s*)?(?:(?:{_OPENERS})(?!\w)\s*\S|在|於|于)", re.IGNORECASE)
_CLOCK = re.compile(r"\b\d{1,2}[:.h]\d{2}\b")
_DATE = re.compile(
    r"\d{1,4}\s?[-/.年]\s?\d{1,2}|\b\d{1,2}:\d{2}\b|\b(?:19|20)\d\d\b|\b\d{1,2}\.?\s+[^\W\d]{3,12}\b"
    r"|\b[^\W\d]{3,12}\.?\s+\d{1,2}\b"
)
_DIGIT = re.compile(r"\d")
_ADDRESS = re.compile(r"[^\s<>()\[\]]{1,100}@[^\s<>()\[\]]{1,200}")
_STARTS_WITH_DATE = re.compile(r"[\"(\[]?(?:[^\W\d]{2,12}\.?,?\s+){0,2}\d{1,4}\b")
_END = re.compile(r"[:：](?:\s*[*_]{1,2})?\s*\Z|[-–—=]{2,}\s*\Z")
_AFTER_TRIM = " :：-–—=*_"
_LAST_CHARACTERS = frozenset(":：->=–—)]")
LINES = 6  # over which one attribution may be wrapped
CHARACTERS = 400
AFTER_VERB = 160  # "Am … schrieb Ada Lovelace <ada@example.org>:"


@dataclass(frozen=True)
class Attribution:
    """Lines that introduce a quote."""

    lines: int
    certain: bool  # by what it says alone; else only where a quote follows


def find_attribution(lines: list[str], place: int) -> Attribution | None:
    """Return the lines from `place` on that introduce a quote ("On … wrote:"), or None."""
    text = ""
    found: Attribution | None = None
    if not any(map(_may_end, lines[place : place + LINES])):
        return None
    for count in range(min(LINES, len(lines) - place)):
        line = _core(lines[place + count])
        if count and (not line or lines[place + count].lstrip().startswith(">")):
            break
        if count and not _may_be_wrapped(lines, place, place + count):
            break
        text = f"{text} {line}".strip()
        if len(text) > CHARACTERS:
            break
        certain = _says_who_wrote(text) if _may_end(lines[place + count]) else None
        if certain is not None:
            found = Attribution(count + 1, certain)
            if certain or _END.search(text):
                break
    return found


@lru_cache(maxsize=256)  # each line is asked about once for every line above it
def _may_end(line: str) -> bool:
    """Say whether an attribution may end with this line: in a colon, an address or a verb."""
    tail = line.rstrip(" \t*_\xa0")[-50:]
    return tail[-1:] in _LAST_CHARACTERS or _VERB.search(tail) is not None


def _core(line: str) -> str:
    return line[:CHARACTERS].lstrip(" \t>*_").rstrip(" \t*_")


def _may_be_wrapped(lines: list[str], first: int, later: int) -> bool:
    """Say whether an attribution that began on one line may go on to another."""
    opening, line = _core(lines[first]), _core(lines[later])
    opens = _OPENER.match(opening) or _STARTS_WITH_DATE.match(opening)
    if not opens:
        # `"Ada Lovelace" <ada@example.org>` and the verb below
        return _ADDRESS.search(opening) is not None and len(opening) < 100 and later == first + 1
    begins_again = _OPENER.match(line) and _DATE.search(line) and _CLOCK.search(line)
    return not (begins_again and later - first > 0 and _DATE.search(line[:40]))


def _says_who_wrote(text: str) -> bool | None:
    """Return whether a text is surely (True), perhaps (False) or not (None) an attribution."""
    ended = _END.search(text, max(len(text) - 10, 0)) is not None
    if not ended and "@" not in text and not _DIGIT.search(text):
        return None
    dated = _DATE.search(text) is not None
    addressed = _ADDRESS.search(text) is not None
    if ended and addressed and dated and _DATE_AND_ADDRESS.match(text):
        return True
    verbs = list(_VERB.finditer(text))
    verb = verbs[-1] if verbs else None
    if verb is None:
        return False if dated and _DATE_AND_ADDRESS.match(text) else None
    after = text[verb.end() :].strip(_AFTER_TRIM)
    opened = _OPENER.match(text) is not None or _STARTS_WITH_DATE.match(text) is not None
    if len(after) > AFTER_VERB or (". " in after and not _ADDRESS.search(after) and not dated):
        return None
    if not (dated or addressed):
        bare = ended and not after and len(text) < 100 and len(text.split()) <= 10
        return False if bare else None
    if ended and opened and (addressed or (dated and (not after or _CLOCK.search(text)))):
        return True
    if ended and addressed and not re.search(r"[.!?]\s", text[: verb.start()].replace("<", " ")):
        return True
    if ended or (not after and opened):
        return False
    return None


# Date and address, and nothing said: Gmail ("2011/5/1 Ada <ada@example.org>")
_DATE_AND_ADDRESS = re.compile(
    r"[\"(\[]?(?:[^\W\d]{1,12}\.?,?\s+){0,3}\d{1,4}[^\n<]{2,150}?"
    r"<\s?[^@<>]{1,100}@[^@<>]{1,200}>\s*[:：]?\Z"
)


def split_attribution(lines: list[str], place: int) -> tuple[str, int] | None:
    """Return what stands before an attribution on the same line ("Yes On … wrote:"), and how many
    lines the attribution takes; None when there is none.
    """
    if not _BEGINS_INSIDE.search(lines[place][:1000]):
        return None
    text = ""
    for count in range(min(LINES, len(lines) - place)):
        line = lines[place + count].strip()
        if not line or (count and line.startswith(">")):
            break
        text = f"{text} {line}"[:1000].lstrip()
        if line.endswith(("wrote:", "said:")):
            match = _INSIDE.search(text)
            if match is None or not match[1].strip() or _says_who_wrote(match[2]) is None:
                break
            return match[1].rstrip(" -"), count + 1
    return None


_BEGINS_INSIDE = re.compile(r"(?:(?<=\s)|(?<=--))On\s+(?:[A-Z][a-z]{2,8},?\s|\d)")
_INSIDE = re.compile(
    r"\A(.*?\S)\s*(?:\s|-{2,}\s*)(On\s+(?:[A-Z][a-z]{2,8},?\s|\d).{3,300}?(?:\b|>)(?:wrote|said):)\s*\Z"
)

FORWARDED = pattern(
    "(?:[-_*=~>–—]{2,} ?)?begin forwarded message:?",
    r"[-_*=~>–—]{2,} ?(?:forwarded (?:message|by|mail)|forwarded)[^\n]{0,80}",
    "[-_*=~>–—]{2,} ?(?:weitergeleitete (?:nachricht|mail|e-mail))[^\\n]{0,80}",
    "[-_*=~>–—]{2,} ?(?:message (?:transféré|transmis)|mensaje reenviado)[^\\n]{0,80}",
    "[-_*=~>–—]{2,} ?(?:messaggio inoltrato|mensagem encaminhada)[^\\n]{0,80}",
    "[-_*=~>–—]{2,} ?(?:doorgestuurd bericht|wiadomość przekazana)[^\\n]{0,80}",
    "[-_*=~>–—]{2,} ?(?:пересылаемое сообщение|转发邮件|転送メッセージ|転送)[^\\n]{0,80}",
    "anfang der weitergeleiteten (?:nachricht|e-?mail):?",
    r"début du message (?:transféré|réexpédié)\s?:?",
    "inizio messaggio inoltrato:?",
    "inicio del mensaje reenviado:?",
    "begin doorgestuurd bericht:?",
    "videresendt besked:?",
    prefix=r"\A\s*",
    suffix=r"\s*\Z",
)


def is_forward(line: str) -> bool:
    """Say whether a line opens a mail that is passed on: new to the one who gets it."""
    return len(line) < 200 and FORWARDED.match(line) is not None


_SEPARATOR = pattern(
    "original (?:message|e-?mail|appointment)",
    "message (?:d'origine|original|initial)",
    r"urspr(?:ü|ue?|u)ngliche\s?(?:nachricht|e-?mail|mail)",
    "antwort nachricht",
    "(?:originaln[aá]|p[uů]vodn[ií]) (?:spr[aá]va|zpr[aá]va|email|mail)",
    "messaggio originale",
    "mensaje original",
    "mensagem original",
    "oorspronkelijke? bericht",
    r"(?:wiadomo(?:ść|sc) oryginalna|oryginalna wiadomo\w+)",
    "originalmeddelande|ursprungligt meddelande",
    "oprindelig (?:meddelelse|besked|mail)",
    "opprinnelig melding",
    "alkuperäinen viesti",
    "исходное сообщение",
    "eredeti üzenet",
    "orijinal (?:mesaj|ileti)",
    "reply (?:message|above this line|separator)",
    "元のメッセージ|original|原始邮件|原始郵件|原邮件|답장|원본 메시지",
    "quoted (?:text|message)|previous (?:message|repl(?:y|ies))|vorherige (?:antworten|nachricht)",
    prefix=r"\A\s*[*_]{0,2}(?:[-_=~>–—]{2,}|\*{3,})\s*[*_]{0,2}",
    suffix=r"[^\n]{0,80}?[-_*=~<–—\s]*\Z",
)
_ABOVE = pattern(
    r"(?:\W{0,6})(?:please )?(?:reply|type your (?:reply|response)|write|respond|enter your reply)"
    r" above this line\b[^\n]{0,120}",
    r"\W{0,6}(?:bitte )?antworten sie oberhalb dieser (?:zeile|linie)[^\n]{0,120}",
    r"\W{0,6}(?:répondre|veuillez répondre) au-dessus de cette ligne[^\n]{0,120}",
    r"\W{0,6}reply-?(?:all )?separator\W*",
    r"[*_]{1,2}(?:previous repl(?:y|ies)|vorherige antworten|réponses précédentes)[*_]{1,2}",
    prefix=r"\A\s*",
    suffix=r"\s*\Z",
)


def is_separator(line: str) -> bool:
    """Say whether from this line on there is nothing but an older mail."""
    if len(line) >= 300:
        return False
    return _SEPARATOR.match(line) is not None or _ABOVE.match(line) is not None


_FROM = any_of(
    *("from", "von", "de", "da", "di", "van", "od", "från", "fra", "lähettäjä", "от", "от кого"),
    *("feladó", "kimden", "gönderen", "mittente", "expéditeur", "remitente", "absender"),
    *("afsender", "avsändare", "nadawca", "odesílatel", "odosielateľ", "απο", "από", "מאת", "من"),
    *("发件人", "寄件者", "差出人", "보낸 사람"),
)
_OTHERS = any_of(
    # to and copies
    *("to", "an", "à", "a", "para", "aan", "do", "till", "til", "vastaanottaja", "кому", "pro"),
    *("címzett", "kime", "alıcı", "komu", "destinataire", "kenelle", "προς", "cc", "bcc"),
    *("kopie", "copie", "copie à", "копия", "dw", "cópia", "kopi", "kopio"),
    *("收件人", "收件者", "宛先", "받는 사람"),
    # when
    *("sent", "gesendet", "gesendet am", "envoyé", "envoyé le", "date d'envoi", "enviado"),
    *("message du",),
    *("enviado el", "inviato", "verzonden", "verzonden op", "verstuurd", "wysłano", "wysłane"),
    *("skickat", "sendt", "sendt den", "lähetetty", "отправлено", "odesláno", "odoslané"),
    *("elküldve", "gönderildi", "gönderme tarihi", "στάλθηκε", "data", "date", "datum", "fecha"),
    *("päivämäärä", "дата", "dato", "dátum", "tarih"),
    *("发送时间", "寄件日期", "送信日時", "보낸 날짜", "日期", "日時"),
    # what about, and the rest
    *("subject", "betreff", "objet", "sujet", "asunto", "assunto", "oggetto", "onderwerp"),
    *("temat", "ämne", "emne", "aihe", "тема", "tárgy", "konu", "předmět", "predmet", "θέμα"),
    *("主题", "主旨", "件名", "제목"),
    *("reply-to", "antwort an", "responder a", "répondre à", "importance", "priority"),
    *("wichtigkeit", "organi[sz]ation", "attachments?", "anlagen?"),
)
_HEADER_LINE = re.compile(
    rf"[\s*>_]*(?:{_FROM}|{_OTHERS})\s?\*?\s?[:：]\s?\*?(?:\s|\S|\Z)", re.IGNORECASE
)
_FROM_LINE = re.compile(rf"[\s*>_]*(?:{_FROM})\s?\*?\s?[:：]", re.IGNORECASE)


_DATE_LINE = re.compile(
    r"[\s*>_]*(?:date|sent|datum|gesendet|fecha|data|enviado(?: el)?|envoyé(?: le)?|message du"
    r"|inviato|verzonden|skickat|sendt|wysłano|дата|日期|发送时间)\s?\*?\s?[:：]",
    re.IGNORECASE,
)


_FIELD_WITHIN = re.compile(
    r"(?:\A|\s)\*?(?:from|to|date|sent|subject|von|an|datum|gesendet|betreff|de|à|envoyé|objet)\s?\*?:\s",
    re.IGNORECASE,
)


def is_sender_field(line: str) -> bool:
    """Say whether a line is an older mail's field of whom it is from, address and all."""
    return len(line) < 300 and _FROM_LINE.match(line) is not None and "@" in line


def is_field_row(line: str) -> bool:
    """Say whether a line holds several of an older mail's fields, one after the other."""
    if len(line) > 600 or "@" not in line or not _HEADER_LINE.match(line):
        return False
    fields = sum(1 for _ in _FIELD_WITHIN.finditer(line))
    return fields >= (2 if _FROM_LINE.match(line) else 3)


def header_block_length(lines: list[str], place: int) -> int:
    """Return how many lines from `place` on are an older mail's fields (Outlook), 0 for none.

    A block has at least three known fields, the sender's among the first two; or two, of which
    one is the date.
    """
    fields = senders = 0
    dated = False
    count = 0
    for line in lines[place : place + 14]:
        if len(line) < 1000 and _HEADER_LINE.match(line):
            fields += 1
            dated = dated or bool(_DATE_LINE.match(line) and _CLOCK.search(line))
            senders += bool(_FROM_LINE.match(line)) and fields <= 2
        elif not line.strip():
            if fields == 0 or count > fields:  # a blank line may stand between fields, one each
                break
        elif (
            fields == 0
            or len(line) > 300
            or (not line[:1].isspace() and "@" not in line and "," not in line)
        ):
            break
        count += 1
    if (fields >= 3 and senders) or (fields >= 2 and dated):
        return count
    return 0


def _may_continue(line: str) -> bool:
    """Say whether a line can be the rest of a long list of recipients."""
    return len(line) <= 300 and (line[:1].isspace() or "@" in line or "," in line)
