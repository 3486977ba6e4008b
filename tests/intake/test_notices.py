"""Mail that no person wrote: what did not arrive, what answers by itself, what went to many."""

from __future__ import annotations

import pytest


def report(action: str, status: str, *, subject: str = "Undelivered Mail", extra: str = "") -> str:
    """Return a delivery report as RFC 3464 has it."""
    return (
        f"From: MAILER-DAEMON@mx.example.org\nTo: ada@example.org\nSubject: {subject}\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nA message could not be delivered.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        f"Final-Recipient: rfc822; bob@example.net\nAction: {action}\nStatus: {status}\n{extra}"
        "--b\nContent-Type: message/rfc822\n\nTo: bob@example.net\nSubject: x\n\nx\n--b--\n"
    )


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (report("failed", "5.1.1"), ("bob@example.net", "5.1.1", True)),
        (report("delayed", "4.4.1"), ("bob@example.net", "4.4.1", False)),
        (report("failed", "5.0.0 (mailbox full)"), ("bob@example.net", "5.0.0", True)),
        (report("failed", ""), ("bob@example.net", "5.0.0", True)),
        (report("delayed", ""), ("bob@example.net", "4.0.0", False)),
        (
            report("failed", "", extra="Diagnostic-Code: smtp; 550 5.7.1 refused\n"),
            ("bob@example.net", "5.7.1", True),
        ),
        (
            report("failed", "5.2.2", extra="Original-Recipient: rfc822; robert@example.net\n"),
            ("robert@example.net", "5.2.2", True),
        ),
    ],
)
def test_reports_by_the_standard(read, raw: str, found: tuple[str, str, bool]):
    """Recipient, status, and whether trying again is of any use."""
    bounce = read(raw).bounce

    assert (bounce.recipient, bounce.status, bounce.permanent) == found


def sent_on(sender: str) -> str:
    """Return a report within a mail by somebody else."""
    return (
        f"From: {sender}\nTo: ada@example.org\nSubject: Returned mail\n"
        'Content-Type: multipart/mixed; boundary="o"\n\n--o\n\nWhat is this?\n'
        f"--o\nContent-Type: message/rfc822\n\n{report('failed', '5.1.1')}\n--o--\n"
    )


def test_a_report_that_a_server_sends_on(read):
    """A gateway wraps another server's report; a person who forwards one asks a question."""
    wrapped = read(sent_on("Mail Delivery Subsystem <MAILER-DAEMON@gate.example.org>")).bounce

    assert (wrapped.recipient, wrapped.status) == ("bob@example.net", "5.1.1")
    assert read(sent_on("Bob <bob@example.org>")).bounce is None


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("Permanent", '"status": "5.1.1", ', ("5.1.1", True)),
        ("Permanent", "", ("5.0.0", True)),
        ("Transient", "", ("4.0.0", False)),
    ],
)
def test_reports_as_json(read, kind: str, status: str, found: tuple[str, bool]):
    """A mail service that speaks to programs is understood; its other news is no bounce."""
    told = (
        'From: no-reply@sns.example.com\nSubject: Notification\n\n{"notificationType": "Bounce", '
        f'"bounce": {{"bounceType": "{kind}", "bouncedRecipients": [{{{status}'
        '"emailAddress": "bob@example.net"}]}}\n\n--\nTo stop this, click\n'
    )

    bounce = read(told).bounce

    assert (bounce.recipient, bounce.status, bounce.permanent) == ("bob@example.net", *found)
    assert read(told.replace('"Bounce"', '"Delivery"')).bounce is None


PLAIN_REPORTS = {
    "qmail": (
        "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\n"
        "Hi. This is the qmail-send program at mx.example.org.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n"
        "<bob@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 unknown\n\n"
        "--- Below this line is a copy of the message.\n\nTo: bob@example.net\n",
        ("bob@example.net", True),
    ),
    "exim": (
        "From: Mail Delivery System <Mailer-Daemon@mx.example.org>\n"
        "X-Failed-Recipients: bob@example.net\n"
        "Subject: Mail delivery failed: returning message to sender\n\n"
        "A message that you sent could not be delivered to one or more of its recipients.\n",
        ("bob@example.net", True),
    ),
    "exim warning": (
        "From: Mail Delivery System <Mailer-Daemon@mx.example.org>\n"
        "Subject: Warning: message 1abc delayed 24 hours\n\n"
        "A message that you sent has not yet been delivered to one or more of its recipients\n"
        "after more than 24 hours on the queue. No action is required on your part.\n\n"
        "  bob@example.net\n",
        ("bob@example.net", False),
    ),
    "exchange": (
        "From: System Administrator <postmaster@example.org>\nSubject: Undeliverable: Engine\n\n"
        "Your message\n\n  To:      list@example.com\n  Subject: Engine\n\n"
        "did not reach the following recipient(s):\n\n"
        "bob@example.net on Mon, 6 May 2024 18:03:00\n    The recipient name is not recognized\n",
        ("bob@example.net", True),
    ),
    "domino": (
        "From: Postmaster@example.org\nReturn-Path: <>\nSubject: DELIVERY FAILURE: not listed\n\n"
        "Your message\n\n  Subject: Engine\n\nwas not delivered to:\n\n  bob@example.net\n\n"
        "because:\n\n  User bob (bob@example.net) not listed in Domino Directory\n",
        ("bob@example.net", True),
    ),
    "old sendmail": (
        "From: Mail Delivery Subsystem <MAILER-DAEMON@example.org>\n"
        "Subject: Returned mail: Cannot send message for 4 days\n\n"
        "   ----- Transcript of session follows -----\n421 example.net: Deferred: timed out\n\n"
        "   ----- Unsent message follows -----\nReceived: by example.org\n"
        "From: ada@example.org\nTo: bob@example.net\nSubject: Engine\n\nx\n",
        ("bob@example.net", False),
    ),
    "answering server": (
        "From: post_master@example.org\nIn-Reply-To: <1@x>\nSubject: Re:Engine\n\n"
        "Error: Invalid user address\n\n550 - Requested action not taken: no such user here\n\n"
        "  MAIL FROM: ada@example.org\n  RCPT TO: bob@example.net\n",
        ("bob@example.net", True),
    ),
    "french": (
        "From: postmaster@example.fr\nReturn-Path: <>\nSubject: Non remis : Machine\n\n"
        "Votre message n'a pas pu être remis au destinataire suivant :\n\n  bob@example.net\n",
        ("bob@example.net", True),
    ),
    "japanese": (
        "From: no-reply@example.jp\nSubject: メールエラー通知\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n"
        "Could not be delivered to: <bob@example.net>\nAs their mailbox is full.\n"
        "--b\nContent-Type: message/rfc822\n\nTo: bob@example.net\n\nx\n--b--\n",
        ("bob@example.net", True),
    ),
}


@pytest.mark.parametrize("name", PLAIN_REPORTS)
def test_reports_in_plain_words(read, name: str):
    """Servers that keep to no standard are understood by what they say."""
    raw, found = PLAIN_REPORTS[name]

    bounce = read(f"To: ada@example.org\n{raw}").bounce

    assert bounce is not None
    assert (bounce.recipient, bounce.permanent) == found


@pytest.mark.parametrize(
    "raw",
    [
        "From: ada@example.org\nSubject: Delivery problem\n\nIt could not be delivered. Help!",
        "From: ada@example.org\nSubject: Re: Mail delivery failed\n\nI get this:\n\n"
        "> A message that you sent could not be delivered.\n> 550 5.1.1 unknown user\n",
        "From: ada@example.org\nSubject: bounce house rental\n\nIs it returned to sender?",
        "From: ada@example.org\nAuto-Submitted: auto-replied\nSubject: Out of office\n\nI am away.",
        report("delivered", "2.0.0", subject="Delivery Status Notification (Success)"),
        report("failed", "5.1.1").replace("delivery-status", "feedback-report"),
        report("failed", "5.1.1").replace("=delivery-status", "=disposition-notification"),
    ],
    ids=["complaint", "question", "chance", "automatic", "success", "abuse", "receipt"],
)
def test_what_is_no_bounce(read, raw: str):
    """People write about deliveries that failed, too; and not every report reports a failure."""
    assert read(f"To: b@example.org\n{raw}").bounce is None


@pytest.mark.parametrize(
    "fields",
    [
        "Auto-Submitted: auto-replied\nSubject: hello",
        "Auto-Submitted: auto-generated; type=vacation\nSubject: hello",
        "Precedence: auto_reply\nSubject: hello",
        "X-Autoreply: yes\nSubject: hello",
        "X-Autorespond: hello\nSubject: hello",
        "X-FC-MachineGenerated: true\nSubject: hello",
        "X-POST-MessageClass: 9; Autoresponder\nSubject: hello",
        "Subject: Out of Office: your order",
        "Subject: Automatic reply: your order",
        "Subject: AUTO: Ada Lovelace is out of the office (returning 6 May)",
        "Subject: Re: your order (Automatic Response)",
        "Subject: Automatische Antwort: Ihre Bestellung",
        "Subject: Abwesenheitsnotiz: Ihre Bestellung",
        "Subject: Réponse automatique : votre commande",
        "Subject: Respuesta automática: su pedido",
        "Subject: Risposta automatica: il suo ordine",
        "Subject: Automatisch antwoord: uw bestelling",
        "Subject: Resposta automática: o seu pedido",
        "Subject: Autosvar: din bestilling",
        "Subject: Автоответ: ваш заказ",
        "Subject: 自动回复: 您的订单",
        "Subject: 自動応答: ご注文",
        "Subject: hello\nReturn-Path: <>",
        "Subject: hello\nX-Auto-Response-Suppress: All\nX-MS-Exchange-Inbox-Rules-Loop: a@b.c",
        "Subject: hello\nPrecedence: bulk",
        "Subject: vacation: your order",
        "Subject: [AUTO GENERATED] your order",
        "Subject: hello\nPreference: auto_reply",
        "Subject: hello\nX-Auto-Submitted: auto-replied",
        "Subject: hello\nUser-Agent: vacation/1.2",
        "Subject: Auto: your order\nIn-Reply-To: <1@b.c>",
    ],
)
def test_automatic_answers(read, fields: str):
    """By what the fields say, or how such answers are titled in the languages of their writers."""
    raw = f"From: ada@example.org\nTo: b@example.org\n{fields}\n\nI am out of the office now.\n"

    mail = read(raw)

    assert mail.auto_reply
    assert mail.bounce is None


@pytest.mark.parametrize(
    "fields",
    [
        "Precedence: bulk",
        "Precedence: list",
        "Precedence: junk",
        "List-Id: <engine.example.org>",
        "List-Unsubscribe: <mailto:x@example.org>",
        "Feedback-ID: campaign:sender",
        "X-Auto-Response-Suppress: All",
        "Auto-Submitted: auto-generated",
        "Return-Path: <>",
        "Sender: owner-engine@example.org",
        "Reply-To: no-reply@example.org",
        "Sender: root@example.org",
        "Return-Path:",
        "Precedence: junk (no need to answer)",
        "X-Autogenerated: Mirror",
        "X-Failed-Recipients: z@example.org",
        "Sender: engine-no-reply@example.org",
        "Sender: noreply+4711@example.org",
        "Sender: bounces-engine@example.org",
        "Sender: ne-pas-repondre@example.org",
        "Sender: nao-responda@example.org",
        "Sender: nicht-antworten@example.org",
        "Sender: post-master@example.org",
        "Sender: dev-null@example.org",
    ],
)
def test_mail_that_must_never_be_answered_by_a_program(read, fields: str):
    """One answer to a list reaches everybody on it; two programs that answer never stop."""
    assert read(f"From: ada@example.org\nTo: b@example.org\n{fields}\nSubject: s\n\nx").bulk


@pytest.mark.parametrize("kind", ["delivery-status", "feedback-report", "disposition-notification"])
def test_reports_are_never_answered(read, kind: str):
    """An answer to a report of delivery, abuse or reading reaches nobody, or a loop."""
    raw = report("delivered", "2.0.0").replace("MAILER-DAEMON", "robot")

    assert read(raw.replace("=delivery-status", f"={kind}")).bulk


@pytest.mark.parametrize(
    "fields",
    [
        "Subject: Urlaubsantrag\nAuto-Submitted: no",
        "Subject: Automatic doors are broken",
        "Subject: Re: Out of office policy",
        "Subject: Absent items in my parcel\nX-Autoreply: no",
        "Subject: s\nFeedback-ID: 1.eu-west-1.abc=:AmazonSES",
        "Subject: s\nX-Auto-Response-Suppress: DR",
        "Subject: s\nReturn-Path: <ada@example.org>",
        "Subject: s\nSender: autohaus@example.org",
        "Subject: s\nSender: norea.plyers@example.org",
        "Subject: s\nX-Loop: no",
        "Subject: On holiday",
        "Subject: Auto reply does not work",
        "Subject: Automatic reply settings are gone",
        "Subject: Auto response plugin crashes",
        "Subject: Automatisch antwoord instellen lukt niet",
        "Subject: Abwesenheit am Montag melden",
        "Subject: Urlaub in Italien buchen",
        "Subject: Auto: Reifenwechsel",
        "Subject: Vacation: can I move my dates?",
        "Subject: Absence of documents",
        "Subject: Ausente a tampa no pacote",
        "Subject: FW: Automatic reply: your order",
        "Subject: WG: Abwesenheitsnotiz",
    ],
)
def test_mail_that_people_wrote(read, fields: str):
    """A person's mail is never taken for a program's, whatever its title is about."""
    mail = read(f"From: ada@example.org\nTo: b@example.org\n{fields}\n\nPlease help.\n")

    assert (mail.auto_reply, mail.bulk, mail.bounce) == (False, False, None)


@pytest.mark.parametrize(
    "subject",
    [
        "OOF: your order",
        "*** Automatic reply ***",
        "Out-of-office until July",
        "On maternity leave until May",
        "Sorry, gone fishing (Out of Office - August)",
        "Re: your order [Auto-Reply]",
        "Ada Lovelace - Out of office",
        "Vacation auto-reply: your order",
        "Urlaub bis 12. August",
        "Abwesend",
        "Automatische Eingangsbestätigung",
        "Absence du bureau",
        "Risposta Non al computer",
        "Semestersvar",
        "Automaatvastus: tellimus",
        "Automatinis atsakymas: jūsų užsakymas",
        "Răspuns automat: comanda",
        "Otomatik yanıt: siparişiniz",
        "Αυτόματη απάντηση: παραγγελία",
        "Автоматична відповідь: замовлення",
        "【自動返信】ご注文",
        "자동 회신: 주문",
        "رد تلقائي: طلبك",
    ],
)
def test_titles_of_automatic_answers(read, subject: str):
    """The title is often all that such an answer has: without it the answer is taken for a case."""
    assert read(
        f"From: ada@example.org\nTo: b@example.org\nSubject: {subject}\n\nHello.\n"
    ).auto_reply
