"""The new words of a mail, told from what it quotes and from how it is signed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake.mail.replies import reply_text

ATTRIBUTIONS = [
    "On Mon, May 6, 2024 at 6:03 PM, Ada Lovelace <ada@example.org> wrote:",
    "On 06/05/2024 18:03, Ada Lovelace wrote:",
    "On 2024-05-06 18:03, Ada wrote:",
    "On May 6, 2024, at 6:03 PM, Ada Lovelace <\nada.lovelace.of.the.engine@example.org>\nwrote:",
    "On Mon, May 6, 2024 at 6:03 PM, Ada Lovelace\n<ada@example.org> wrote:",
    "Ada Lovelace <ada@example.org> wrote:",
    "2024-05-06 18:03 GMT+02:00 Ada Lovelace <ada@example.org>:",
    "Am 06.05.2024 um 18:03 schrieb Ada Lovelace <ada@example.org>:",
    "Am Mo., 6. Mai 2024 um 18:03 Uhr schrieb Ada Lovelace\n<ada@example.org>:",
    "Ada Lovelace <ada@example.org> schrieb am Mo., 6. Mai 2024 um 18:03 Uhr:",
    "Le lun. 6 mai 2024 à 18:03, Ada Lovelace <ada@example.org> a écrit :",
    "El lun, 6 may 2024 a las 18:03, Ada Lovelace (<ada@example.org>) escribió:",
    "Em seg., 6 de mai. de 2024 às 18:03, Ada <ada@example.org> escreveu:",
    "Il giorno lun 6 mag 2024 alle ore 18:03 Ada <ada@example.org> ha scritto:",
    "Op ma 6 mei 2024 om 18:03 schreef Ada Lovelace <ada@example.org>:",
    "Op 6 mei 2024 om 18:03 heeft Ada <ada@example.org> het volgende geschreven:",
    "W dniu 6.05.2024 o 18:03, Ada Lovelace <ada@example.org> pisze i napisał(a):",
    "W dniu 2024-05-06 18:03, ada@example.org pisze:",
    "pon., 6 maj 2024 o 18:03 Ada Lovelace <ada@example.org> napisał(a):",
    "Den mån 6 maj 2024 kl 18:03 skrev Ada Lovelace <ada@example.org>:",
    "man. 6. maj 2024 kl. 18.03 skrev Ada Lovelace <ada@example.org>:",
    "ma 6. toukok. 2024 klo 18.03 Ada Lovelace <ada@example.org> kirjoitti:",
    "пн, 6 мая 2024 г. в 18:03, Ada Lovelace <ada@example.org>:",
    "6 мая 2024 г., в 18:03, Ada Lovelace <ada@example.org> написал(а):",
    "Dne po 6. 5. 2024 18:03 uživatel Ada <ada@example.org> napsal:",
    "2024年5月6日(月) 18:03 Ada Lovelace <ada@example.org>:",
    "2024/05/06 18:03、Ada Lovelace <ada@example.org> のメッセージ:",
    "在 2024年5月6日，18:03，Ada <ada@example.org> 写道：",
    "2024년 5월 6일 (월) 18:03, Ada <ada@example.org>님이 작성:",
]
HEADS = [
    "From: Ada Lovelace <ada@example.org>\nSent: Monday, May 6, 2024\nTo: Support\nSubject: Engine",
    "*From:* Ada [mailto:\nada@example.org]\n*Sent:* Monday\n*To:* Support\n*Subject:* Engine",
    "From: ada@example.org\nTo: support@example.com\nCc: a@b.c,\n d@e.f\nSubject: Engine",
    "Von: Ada <ada@example.org>\nGesendet: Montag, 6. Mai 2024\nAn: Support\nBetreff: Maschine",
    "De : Ada <ada@example.org>\nEnvoyé : lundi 6 mai 2024\nÀ : Support\nObjet : Machine",
    "De: Ada <ada@example.org>\nEnviado el: lunes, 6 de mayo\nPara: Soporte\nAsunto: Máquina",
    "Da: Ada <ada@example.org>\nInviato: lunedì 6 maggio\nA: Assistenza\nOggetto: Macchina",
    "Van: Ada <ada@example.org>\nVerzonden: maandag 6 mei\nAan: Hulp\nOnderwerp: Machine",
    "Fra: Ada <ada@example.org>\nSendt: 6. mai 2024\nTil: Hjelp\nEmne: Maskin",
    "Från: Ada <ada@example.org>\nSkickat: den 6 maj 2024\nTill: Hjälp\nÄmne: Maskin",
    "От: Ada <ada@example.org>\nОтправлено: 6 мая 2024\nКому: Помощь\nТема: Машина",
    "发件人: Ada <ada@example.org>\n发送时间: 2024年5月6日\n收件人: 支持\n主题: 机器",
    "Date: Mon, 6 May 2024 18:03:02 +0200\nTo: support@example.com",
    "____________\nFrom: ada@example.org",
    "====\n\nMessage du : 06/05/2024 18:03\nDe : Ada <ada@example.org>\nCopie à :\nSujet : M",
    "________________________________\nFrom: Ada\nSent: Monday\nTo: Support\nSubject: Engine",
]
SEPARATORS = [
    "-----Original Message-----",
    "---- Original Message ----",
    "-----Ursprüngliche Nachricht-----",
    "-----Message d'origine-----",
    "-----Mensaje original-----",
    "-----Oprindelig meddelelse-----",
    "------------------ 原始邮件 ------------------",
]
DEVICES = [
    "Sent from my iPhone",
    "Sent from my Galaxy, please excuse typos",
    "Sent wirelessly from my telephone",
    "Get Outlook for Android",
    "Télécharger Outlook pour Android<https://example.org/" + 90 * "x" + ">",
    "Scarica Outlook per iOS",
    "Outlook für Android herunterladen",
    "Von meinem iPad gesendet",
    "Gesendet mit der Mail App",
    "Envoyé de mon iPhone",
    "Enviado desde mi iPhone",
    "Inviato da iPad",
    "Verstuurd vanaf mijn iPhone",
    "Skickat från min iPhone",
    "Отправлено с iPhone",
    "iPhoneから送信",
    "從我的 iPhone 傳送",
]
OLD = "The engine is broken.\nCan you help?"
NEW = "Yes, we can.\n\nPlease send it to us."


def quote(text: str) -> str:
    """Return text as mail programs quote it."""
    return "\n".join(f"> {line}" for line in text.split("\n"))


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_answer_above_a_quote(attribution: str):
    """In every language, with marks at the quote and without, what stands above is the answer."""
    assert reply_text(f"{NEW}\n\n{attribution}\n{quote(OLD)}\n") == NEW
    assert reply_text(f"{NEW}\n\n{attribution}\n\n{quote(OLD)}\n>\n") == NEW
    assert reply_text(f"{NEW}\n\n{attribution}\n\n{OLD}\n") == NEW


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_answer_below_a_quote(attribution: str):
    """Who answers below, or between the lines, is read too."""
    assert reply_text(f"{attribution}\n{quote(OLD)}\n\n{NEW}\n") == NEW
    assert (
        reply_text(f"Hi,\n\n{attribution}\n> one\n\nYes.\n\n> two\n\nNo.\n") == "Hi,\n\nYes.\n\nNo."
    )


@pytest.mark.parametrize("head", [*HEADS, *SEPARATORS])
def test_older_mail_below_its_head(head: str):
    """From the head of an older mail on, nothing is new."""
    assert reply_text(f"{NEW}\n\n{head}\n\n{OLD}\n") == NEW
    assert reply_text(f"{NEW}\n{head}\n\n{OLD}\n\nOn Monday, 6 May 2024, B wrote:\n> x") == NEW


@pytest.mark.parametrize("device", DEVICES)
def test_signatures_of_devices(device: str):
    """What a telephone signs with is not an answer."""
    assert reply_text(f"{NEW}\n\n{device}\n") == NEW
    assert (
        reply_text(f"{NEW}\n\n{device}\n\nOn 6 May 2024, at 18:03, A <a@b.c> wrote:\n\n> x") == NEW
    )


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (f"{NEW}\n\n-- \nAda Lovelace\nAnalytical Engines", NEW),
        (f"{NEW}\n--\nAda", NEW),
        (f"{NEW}\n\n-- \nAda\n\nOn 6 May 2024, B <b@c.d> wrote:\n> x\n> -- \n> B", NEW),
        (f"{NEW}\n\n—\nAda", NEW),
        (f"{NEW}\n\n-Ada Lovelace", NEW),
        (f"{NEW}\n-ada", NEW),
        (f"{NEW}\n---\nAda", NEW),
        ("We need\n-rope", "We need\n-rope"),
        (f"{NEW}\n\nDate: Mon, 6 May 2024 From: a@b.c To: D, E Subject: Engine\n\n{OLD}", NEW),
        ("One.\n---\ntwo and three", "One.\n---\ntwo and three"),
        (f"{NEW}\n\nFrom: ada@example.org Date: Mon, 6 May 2024 18:03\nThe engine is broken.", NEW),
        (f"{NEW}\n\n_______________\nengine mailing list\nengine@lists.example.org", NEW),
        (f"{NEW}\n\nBest regards,\nAda", f"{NEW}\n\nBest regards,\nAda"),
        ("List:\n\n- one\n- two", "List:\n\n- one\n- two"),
        ("Part one.\n\n__________\n\nPart two.", "Part one.\n\n__________\n\nPart two."),
        ("Sent from my desk, it is easier.", "Sent from my desk, it is easier."),
        ("Yes On Mon, May 6, 2024 at 6:03 PM, a@b.c wrote:\n> x", "Yes"),
        (
            "On the other hand, I wrote to you:\n\n1. first",
            "On the other hand, I wrote to you:\n\n1. first",
        ),
        ("On Monday Ada said: no.\n\nSo be it.", "On Monday Ada said: no.\n\nSo be it."),
        ("One question is open.\n\nOn 6 May 2024, A <a@b.c> wrote:\n> x", "One question is open."),
        ("##- Please type your reply above this line -##\n\nNew words", "New words"),
        (f"{NEW}\n\n> quoted without a word\n> before it", NEW),
        (
            f"{NEW}\n\n——————\nAda Lovelace\nAnalyst, Engines Ltd.\n+44 20 7946 0000",
            NEW,
        ),
        (
            f"{NEW}\n\n------\nName: Ada\nPhone: +44 20 7946 0000",
            f"{NEW}\n\n------\nName: Ada\nPhone: +44 20 7946 0000",
        ),
        ("Yes, as in our\nplan On 6 May 2024, A\n<a@b.c> wrote:\n\n> x", "Yes, as in our\nplan"),
        ("Yes--- On May 6, 2024 at 6:03 PM, A wrote:\nx\n\nOn May 5, B wrote:\n> y", "Yes"),
        (
            "The manual <https://example.org/manual\n> says so.",
            "The manual <https://example.org/manual\n> says so.",
        ),
        (
            "Yes.\n\nOn May 6, 2024 6:03 PM, A <a@b.c> wrote:\n"
            "> A line that is as long as a telephone lets lines be and so its last\n"
            "words were folded, which no answer is.\n> More.\nReally?\n> End.",
            "Yes.\n\nReally?",
        ),
        (
            "Yes.\n\nada <ada@example.org> wrote:\n\nOld words.\n\n"
            "On 5 May 2024, B <b@c.d> wrote:\n\n> Older words.\n",
            "Yes.",
        ),
        ("Only new words", "Only new words"),
        ("> only a quote", ""),
        ("", ""),
    ],
)
def test_how_people_sign_and_quote(text: str, reply: str):
    """Delimiters, names after dashes, list footers; and sentences that only look like them."""
    assert reply_text(text) == reply


def test_a_mail_that_is_passed_on_is_new():
    """To the one who gets a forwarded mail, what it holds is the news."""
    text = "FYI\n\n---------- Forwarded message ---------\nFrom: A <a@b.c>\nSubject: S\n\nThe news."

    assert reply_text(text) == text


def test_a_subject_says_that_a_mail_is_passed_on(read):
    """Outlook puts no line above what it forwards; an answer to a forward is an answer."""
    text = f"Can you help her?\n\n{HEADS[0]}\n\n{OLD}"
    page = (
        "<p>Can you help her?</p><div id=divRplyFwdMsg><b>From:</b> Ada &lt;ada@example.org&gt;<br>"
        "<b>Sent:</b> Monday<br><b>To:</b> B<br><b>Subject:</b> Engine</div><p>It is broken.</p>"
    )

    assert read(f"Subject: FW: Engine\n\n{text}").reply_text == text
    assert read(f"Subject: WG: Maschine\n\n{text}").reply_text == text
    assert read(f"Subject: RE: FW: Engine\n\n{text}").reply_text == "Can you help her?"
    assert read(f"Subject: FW: x\nContent-Type: text/html\n\n{page}").reply_text.endswith("broken.")


def test_an_older_mail_within_an_older_mail_is_not_passed_on():
    """Below the head of an older mail nothing counts, forwarded or not."""
    text = "Yes.\n\n-----Original Message-----\n\nFYI\n\n---------- Forwarded message ---------\nx"

    assert reply_text(text) == "Yes."


@pytest.mark.parametrize(
    "html",
    [
        '<div>Yes.</div><div class="gmail_quote"><div class="gmail_attr">On Mon, May 6, 2024 at'
        " 6:03 PM Ada &lt;a@b.c&gt; wrote:<br></div><blockquote>Old</blockquote></div>",
        '<p>Yes.</p><div class="moz-cite-prefix">Am 06.05.24 schrieb Ada:</div>'
        '<blockquote type="cite">Old</blockquote>',
        '<p>Yes.</p><div id="divRplyFwdMsg"><b>From:</b> Ada<br></div><div>Old</div>',
        '<p>Yes.</p><div id="appendonsend"></div><hr><div>Old</div>',
        '<p>Yes.</p><div class="yahoo_quoted"><p>Ada wrote</p>Old</div>',
        '<p>Yes.</p><div class="gmail_signature">Ada</div>',
        "<p>Yes.</p><p><b>Von:</b> Ada<br><b>Gesendet:</b> Montag<br><b>An:</b> B<br>"
        "<b>Betreff:</b> S</p><p>Old</p>",
    ],
    ids=["gmail", "thunderbird", "outlook", "outlook mobile", "yahoo", "signature", "outlook text"],
)
def test_marks_of_mail_programs_in_html(read, html: str):
    """Where a program marks what it quotes, the marks are believed."""
    assert read(f"From: a@b.c\nContent-Type: text/html\n\n{html}").reply_text == "Yes."


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_reply_is_taken_from_the_text(text: str):
    """No line is invented: what comes out stood in what went in."""
    lines = {line.strip() for line in text.split("\n")}

    assert {line.strip() for line in reply_text(text).split("\n")} <= lines | {""}
