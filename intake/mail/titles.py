"""How programs title the answers they write, in the languages of those they write for."""

from __future__ import annotations

import re

from intake.mail.phrases import any_of

# "automatic" and "answer", as they begin or end the titles that mail programs give
_AUTOMATIC = (
    r"(?:auto(?:m[aáā]\w*)?|samodejn\w*|αυτόματ\w*|авто(?:мат\w*)?|otomatik|otomatis|automat)"
)
_ANSWER = any_of(
    r"re[\s_-]?pl(?:y|ies|ied)|respon[sd]\w*|answer\w*|acknowledg\w*|message|generated\b",
    r"antwoord\w*|beantwoord\w*|reactie|bericht|(?:rück|ruck)?antwort\w*|beantwort\w*",
    r"eingangsbest\w*|abwesenheit\w*|svar\w*|frav[aæ]\w*|fr[aå]nvaro\w*|vastau\w*|poissaolo\w*",
    r"vastus\w*|atbilde\w*|atsakym\w*|odpowied\w*|odpov\w*|odgovor\w*|v[aá]lasz\w*",
    r"r[aă]spuns\w*|r[eé]ponse|risposta|respuesta|resposta|yan[iı]t\w*|cevap\w*",
    r"απάντηση|ответ\w*|відповід\w*|отговор\w*|submitted\b",
)
_ANSWER_AUTOMATIC = any_of(
    r"(?:r[eé]ponse|risposta|respuesta|resposta|odpowied[zź]|odpov\w+|r[aă]spuns\w*|balasan"
    r"|odgovor|válasz)",
    r"accus[eé] de r[eé]ception",
)
# Nobody begins a subject so but a program, or a person who has trouble with one
_TITLES = any_of(
    rf"{_AUTOMATIC}[\s_-]*(?:e-?mail[\s_-]*|generated[\s_-]*)?{_ANSWER}",
    rf"{_ANSWER_AUTOMATIC} (?:autom|otomat)\w*",
    r"(?:currently |now |i am |i'm )*out[\s-]+of[\s-]+(?:the[\s-]+|my[\s-]+)?office",
    r"(?:ooo|oof)\s*(?::|\Z)",
    r"(?:vacation|holiday)[\s-]*(?:auto[\s-]*)?(?:reply|message|notice|response)",
    r"(?:currently )?away from (?:the office|my (?:e-?)?mail|my desk)",
    r"(?:abwesenheits|urlaubs|ferien)(?:notiz|assistent|meldung|nachricht|abwesenheit)\w*",
    "ich bin (?:nicht im|derzeit nicht|zurzeit nicht|im urlaub|abwesend)",
    "(?:nicht im büro|außer haus|außer büro)",
    r"(?:message|réponse|notification|avis) d['’]absence",
    "absen(?:t|te|ce) du bureau|je suis (?:absent|en cong)",
    "fuera de (?:la )?oficina",
    "fuori (?:sede|ufficio)|risposta non al computer",
    "niet aanwezig|afwezigheids\\w*",
    "fora do escrit|ausente do escrit",
    "ute av kontoret|ikke på kontoret|borta från kontoret",
    "(?:jag )?är (?:inte på kontoret|på semester)",
    "semester(?:svar|meddelande)|jag är ledig|fravær\\w*|frånvar\\w*",
    "poza biurem|jestem na urlopie",
    "mimo kancel|házon kívül|ofis dışında|εκτός γραφείου",
    "вне офиса|я в отпуске",
    "自動(?:応答|返信|回覆|回复|回復)|自动(?:回复|答复|回覆)|不在(?:通知|連絡|のお知らせ)",
    r"자동\s*(?:응답|회신)|부재\s*중",
    "trả lời tự động|ตอบกลับอัตโนมัติ",
    "(?:ال)?رد (?:ال)?تلقائي|(?:תשובה|מענה) אוטומטית?",
)
# People begin subjects so, too: a date, the end of the subject or more must speak for a program
_WORDS = any_of(
    r"(?:i am |i'm )?(?:currently )?(?:on (?:\w+ )?(?:vacation|holiday|leave)|away)",
    "vacation|auto|nieobecno\\w*|отсутству\\w*|поза офісом",
    "urlaub|abwesen(?:heit|d)\\w*|absence|absent|en (?:vacances|congés)|ausente|ausência|assente",
    "afwezig|poissa|bortrest|de vacaciones|in ferie|de férias|ferie|outofoffice|外出中",
)
_ALONE = any_of(
    "nieobecno\\w*|отсутству\\w*|поза офісом|abwesend|abwesenheit|absent|absence|ausente|ausência"
    "|assente|afwezig|poissa|bortrest|en (?:vacances|congés)|de (?:vacaciones|férias)|in ferie"
)
_UNTIL = any_of(
    "until|till|til|through|thru|from|since|back|returning|returns",
    "bis|vom|ab|seit|zurück|jusqu\\w*|du \\d|hasta|desde|fino|dal|até|tot|t\\.o\\.m|do \\d|\\(?\\d",
)
# What people who have trouble with such a program write behind the same words
_TROUBLE = any_of(
    r"(?:is|are|does|do|did|was|has|have|isn['’]t|doesn['’]t|not|no|never|still|stopped|won['’]t)\b",
    r"(?:not working|broken|crash\w*|fail\w*|error|problem|issue|question|policy|feature|plugin"
    r"|system\w*|settings?|set-?up|templates?|times?|rate|help|how|why|needed|wrong|disable\w*)\b",
    r"(?:einricht\w+|einstell\w+|funktion\w+|fehler\w*|melden|beantrag\w+|geht|kaputt|instellen"
    r"|lukt|werkt|virker|fungerar|funciona|fonctionne|marche|funziona|configur\w+)\b",
)
_START = r"\W{0,6}(?:\b|(?=\w))"
_FLAGS = re.IGNORECASE

AUTO_REPLY_SUBJECT = re.compile(rf"{_START}(?:{_TITLES}|(?:{_WORDS})\b)", _FLAGS)
_TITLE = re.compile(rf"{_START}{_TITLES}", _FLAGS)
_WORD = re.compile(rf"{_START}(?:{_WORDS})\b", _FLAGS)
_WORD_IS_ENOUGH = re.compile(
    rf"{_START}(?:(?:{_WORDS})[\s,:(–-]+{_UNTIL}\b|(?:{_ALONE})(?:\W*\Z|\s*:))", _FLAGS
)
_TROUBLED = re.compile(rf"\s+(?:\S+\s+){{0,3}}?{_TROUBLE}", _FLAGS)
_END = re.compile(
    any_of(
        r"[(\[](?:auto(?:matic|mated)?[ _-]*(?:response|reply|antwort|generated)"
        r"|out[ -]of[ -](?:the[ -])?office)\b[^()\[\]]{0,60}[)\]]",
        r"[–—-] (?:out of (?:the )?office|auto[ -]?reply|automatic reply)",
        r"\bis (?:currently )?out of (?:the )?office\b[^:?]*",
        r"\b(?:bin|ist) (?:derzeit |zurzeit )?(?:abwesend|nicht im (?:büro|haus))",
        r"\S!? auto[ -]?response",
    )
    + r"[^\w?]*\Z",
    _FLAGS,
)


def titled_automatic(subject: str) -> bool:
    """Say whether a subject alone shows that a program answered."""
    found = _TITLE.match(subject)
    if found and not _TROUBLED.match(subject, found.end()):
        return True
    return _WORD_IS_ENOUGH.match(subject) is not None or _END.search(subject) is not None


def perhaps_titled(subject: str) -> bool:
    """Say whether a subject is worded as by a program, where more must speak for that."""
    return _WORD.match(subject) is not None
