"""MIME trees built at random come back whole: text, subject, names and every attachment's bytes."""

from __future__ import annotations

import email.policy
import hashlib
import json
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st

from intake.limits import Limits
from intake.mail import read_mail

LETTERS = st.characters(
    codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="\u034f\u00ad\u2060"
)
words = st.text(LETTERS, min_size=1, max_size=12)
subjects = st.lists(words, min_size=1, max_size=12).map(" ".join)
names = st.lists(words, min_size=1, max_size=4).map(" ".join).map(lambda name: f"{name}.bin")
lines = st.lists(words, max_size=8).map(" ".join)
bodies = st.lists(lines, min_size=1, max_size=8).map(lambda found: "\n".join(found) + "\n")
files = st.lists(st.tuples(names, st.binary(max_size=300)), max_size=4)


def build(
    subject: str, text: str, attached: list[tuple[str, bytes]], *, html: bool
) -> EmailMessage:
    """Return a mail as the standard library writes it."""
    mail = EmailMessage()
    mail["From"] = "Ada Lovelace <ada@example.org>"
    mail["To"] = "support@example.com"
    mail["Subject"] = subject
    mail.set_content(text)
    if html:
        mail.add_alternative("<html><body><p>other words</p></body></html>", subtype="html")
    for name, body in attached:
        mail.add_attachment(body, maintype="application", subtype="octet-stream", filename=name)
    return mail


@settings(max_examples=80, deadline=None)
@given(subject=subjects, text=bodies, attached=files, html=st.booleans(), crlf=st.booleans())
def test_what_was_written_is_read(subject, text, attached, html, crlf):
    """Nothing that the sender put into a mail is lost or changed on the way in."""
    policy = email.policy.SMTP if crlf else email.policy.default
    raw = build(subject, text, attached, html=html).as_bytes(policy=policy)

    mail = read_mail(raw, Limits()).mail

    assert mail is not None
    # the standard library loses blanks when it folds some subjects: then that is what was sent
    sent = email.message_from_bytes(raw, policy=email.policy.default)["subject"]
    assert mail.subject in (subject, " ".join(sent.split()))
    assert mail.sender == "Ada Lovelace <ada@example.org>"
    if text.strip():
        assert mail.text.split() == text.split()
    assert [(item.name, item.sha256) for item in mail.attachments] == [
        (name, hashlib.sha256(body).hexdigest()) for name, body in attached
    ]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> tuple[bytes, list[bytes]]:
    """Return a part as it travels, and the bytes of the attachments within it, in order."""
    if depth == 0 or draw(st.booleans()):
        body = draw(st.binary(max_size=80).filter(lambda data: b"--=_" not in data))
        if draw(st.booleans()):
            import base64

            encoded = base64.encodebytes(body)
            head = b"Content-Type: application/x-thing\nContent-Transfer-Encoding: base64\n\n"
            return head + encoded, [body]
        head = b"Content-Type: application/x-thing\nContent-Transfer-Encoding: binary\n\n"
        return head + body, [body]
    children = draw(st.lists(trees(depth=depth - 1), min_size=1, max_size=3))
    boundary = b"=_%d_%d" % (depth, draw(st.integers(0, 10**9)))
    joined = b"".join(b"--%s\n%s\n" % (boundary, child) for child, _ in children)
    kind = draw(st.sampled_from((b"mixed", b"related", b"signed", b"x-unknown")))
    head = b'Content-Type: multipart/%s; boundary="%s"\n\npreamble\n' % (kind, boundary)
    return head + joined + b"--%s--\nepilogue" % boundary, [
        body for _, found in children for body in found
    ]


@settings(max_examples=80, deadline=None)
@given(trees())
def test_every_leaf_keeps_its_bytes(tree):
    """However parts are nested, a file's hash is that of the bytes that were sent."""
    raw, expected = tree

    mail = read_mail(b"From: a@example.org\nMIME-Version: 1.0\n" + raw, Limits()).mail

    assert mail is not None
    assert [item.body for item in mail.attachments] == expected


BREAKERS = tuple(b'\n|\r|\n\n|--|=?utf-8?b?|?=|"|\x00|;|:|\xff'.split(b"|"))
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(("cut", "insert", "repeat", "swap")),
        st.integers(0, 10**6),
        st.binary(min_size=1, max_size=12) | st.sampled_from(BREAKERS),
    ),
    max_size=12,
)


def mutate(raw: bytes, mutations: list[tuple[str, int, bytes]]) -> bytes:
    """Return a damaged copy."""
    for kind, at, piece in mutations:
        place = at % (len(raw) + 1)
        if kind == "cut":
            raw = raw[:place] + raw[place + len(piece) * 3 :]
        elif kind == "insert":
            raw = raw[:place] + piece + raw[place:]
        elif kind == "repeat":
            raw = raw[:place] + raw[place : place + 60] * 3 + raw[place:]
        else:
            raw = raw[place:] + raw[:place]
    return raw


@settings(max_examples=200, deadline=None)
@given(subject=subjects, text=bodies, attached=files, mutations=MUTATIONS)
def test_damage_is_never_an_exception(subject, text, attached, mutations):
    """A mail damaged anywhere is still read: it may lose what was damaged, not the process."""
    raw = mutate(build(subject, text, attached, html=True).as_bytes(), mutations)

    parsed = read_mail(raw, Limits())

    assert parsed.mail is not None
    text = json.dumps(parsed.to_json(), ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")
