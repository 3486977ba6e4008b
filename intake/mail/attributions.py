"""How mail programs introduce what they quote, in the languages they speak."""

from __future__ import annotations

import re

from intake.mail.phrases import any_of, pattern

_WROTE = any_of(
    *("wrote", "writes", "said", "wrote on"),
    *("schrieb(?:en)?", r"schreib\w*", "hat geschrieben", "geschrieben"),
    *("a écrit", "écrit", "a ecrit"),
    *("escribi[oó]", "escreveu", "va escriure", "escriu"),
    *("ha scritto", "scrisse", "a scris"),
    *("schreef", "geschreven", "skrev", "skrifaði", "kirjoitti", "kirjutas"),
    *(r"napisał(?:\(a\))?", r"napisa[lł]a?", r"napsal\(a\)", "napsala?", "nap[ií]sala?"),
    *(r"je napisa\w*", r"напис\w+", "пишет", r"писал\w*", "rašė", "rakstīja"),
    *("írta", "yazd[ıi]", "şunları yazdı", "έγραψε", "idatzi zuen", "menulis"),
    *("đã viết", "viết", r"כתב\S*", "كتب", "เขียน(?:ว่า)?"),
    *("写道", "寫道", "写了", "님이\\s*작성", "작성"),
    *("のメール", "は書きました", r"さんは\S{0,12}書きました"),
)
_OPENERS = any_of(
    *("on", "quoting", "from", "at", "le", "am", "em", "el", "il", "op", "den", "på", "pe"),
    *("w dniu", "dnia", "dne", "ma", "klo", "fecha", "vào", "în", "no", "dia", "στις", "в", "на"),
    r"tarih\w*",
)
WROTE_AT_END = re.compile(
    rf"(?:\b|\s|(?<=[>\"'」\]])|(?<=\d)){_WROTE}\s*"
    r"(?:\([^)\n]{0,60}\)|:?\s*\S{0,40}@\S{0,80})?\s*[::]?\s*(?:\[[^\]\n]{0,60}\])?\s*\Z",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\d{1,4}\s?[-/.年]\s?\d{1,2}|\b\d{1,2}:\d{2}\b|\b(?:19|20)\d\d\b|\d{1,2}\.?\s+\w{3,10}\.?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[^\s<>]{1,100}@[^\s<>]{1,200}")
_OPENER = re.compile(rf"(?:{_OPENERS})\b", re.IGNORECASE)
LINES = 5  # over which one attribution may be wrapped
CHARACTERS = 400


def attribution_length(lines: list[str], place: int) -> int:
    """Return how many lines from `place` on introduce a quote ("On … wrote:"), 0 for none."""
    text = ""
    for count in range(min(LINES, len(lines) - place)):
        line = lines[place + count].strip()
        if count and (not line or line.startswith((">", "|"))):
            break
        text = f"{text} {line}".strip()
        if len(text) > CHARACTERS:
            break
        if _is_attribution(text):
            return count + 1
        if count == 0 and not _may_open(text):
            break
    return 0


def _may_open(text: str) -> bool:
    return bool(_OPENER.match(text) or _DATE.search(text) or _ADDRESS.search(text))


def _is_attribution(text: str) -> bool:
    if not text or not WROTE_AT_END.search(text):
        return False
    ends_in_colon = text.rstrip()[-1:] in "::"
    return bool(
        (_DATE.search(text) and (ends_in_colon or _ADDRESS.search(text) or _OPENER.match(text)))
        or (_ADDRESS.search(text) and ends_in_colon)
        or (ends_in_colon and len(text) < 100 and _is_bare(text))
    )


_BARE = re.compile(rf"[\w.,'\"()\- ]{{2,60}}\s(?:{_WROTE})\s*[::]\Z", re.IGNORECASE)


def _is_bare(text: str) -> bool:
    """`Ada Lovelace wrote:`, with neither date nor address."""
    return _BARE.match(text) is not None and len(text.split()) <= 6


# Date and address, and nothing said: old Gmail ("2011/5/1 Ada <ada@example.org>")
_DATE_AND_ADDRESS = re.compile(
    r"(?:on\s+)?(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})\b"
    r"[^\n]{0,120}?<[^>\s]+@[^>\s]+>\s*:?\Z",
    re.IGNORECASE,
)


def is_date_and_address(line: str) -> bool:
    """Say whether a line is nothing but a date and whose mail it was."""
    return _DATE_AND_ADDRESS.match(line.strip()[:CHARACTERS]) is not None


_SEPARATOR = pattern(
    r"[-_*=~>–—]{2,}\s*(?:original (?:message|e-?mail|appointment)|message (?:d'origine"
    r"|original|initial|transféré|transmis)|urspr(?:ü|ue?|u)ngliche\s?(?:nachricht|e-?mail"
    "|mail)|(?:originaln[aá]|p[uů]vodn[ií]) (?:spr[aá]va|zpr[aá]va|email|mail)"
    "|messaggio (?:originale|inoltrato)|mensaje (?:original|reenviado)"
    "|mensagem (?:original|encaminhada)|oorspronkelijk(?:e)? bericht|doorgestuurd bericht"
    r"|wiadomo(?:ść|sc) (?:oryginalna|przekazana)|oryginalna wiadomo\w+|originalmeddelande"
    "|ursprungligt meddelande|oprindelig (?:meddelelse|besked|mail)|opprinnelig melding"
    "|alkuperäinen viesti|исходное сообщение|пересылаемое сообщение|eredeti üzenet"
    "|orijinal (?:mesaj|ileti)|forwarded (?:message|by|mail)|begin forwarded message"
    "|weitergeleitete (?:nachricht|mail)|forwarded|reply (?:message|above this line"
    "|separator)|転送|元のメッセージ|original|原始邮件|原始郵件|原邮件|转发邮件"
    "|転送メッセージ|답장|원본 메시지"
    r"|quoted text)[^\n]{0,80}?[-_*=~<–—]*",
    "begin forwarded message:?",
    "anfang der weitergeleiteten (?:nachricht|e-?mail):?",
    r"début du message (?:transféré|réexpédié)\s?:?",
    "inizio messaggio inoltrato:?",
    "inicio del mensaje reenviado:?",
    "begin doorgestuurd bericht:?",
    "videresendt besked:?",
    r"(?:\#+|[-=*]+)?\s*(?:please )?(?:reply|type your reply|write|respond"
    r"|enter your reply) above this line\b[^\n]{0,120}",
    prefix=r"\s*",
    suffix=r"\s*\Z",
)


def is_separator(line: str) -> bool:
    """Say whether from this line on there is nothing but an older mail."""
    return len(line) < 300 and _SEPARATOR.match(line) is not None


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
    *("kopie", "copie", "копия", "dw", "cópia", "kopi", "kopio"),
    *("收件人", "收件者", "宛先", "받는 사람"),
    # when
    *("sent", "gesendet", "gesendet am", "envoyé", "envoyé le", "date d'envoi", "enviado"),
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
    rf"[\s*>_]*(?:{_FROM}|{_OTHERS})\s?\*?\s?[::]\s?\*?(?:\s|\S|\Z)", re.IGNORECASE
)
_FROM_LINE = re.compile(rf"[\s*>_]*(?:{_FROM})\s?\*?\s?[::]", re.IGNORECASE)


def header_block_length(lines: list[str], place: int) -> int:
    """Return how many lines from `place` on are an older mail's fields (Outlook), 0 for none.

    A block has at least three known fields, the sender's among the first two.
    """
    fields, senders = 0, 0
    count = 0
    for line in lines[place : place + 14]:
        if _HEADER_LINE.match(line) and len(line) < 1000:
            fields += 1
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
    return count if fields >= 3 and senders else 0


def _may_continue(line: str) -> bool:
    """Say whether a line can be the rest of a long list of recipients."""
    return len(line) <= 300 and (line[:1].isspace() or "@" in line or "," in line)
