"""Real mail from public lists: fields agree with the standard library's, and nothing is lost."""

from __future__ import annotations

import email
import gzip
import itertools
import json
from email.policy import default
from pathlib import Path

import pytest

from intake import Parsed, Parser

MAILS = 400


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mailinglists", "enron_categories"])
def test_real_mail_is_read(real_data: Path, parser: Parser, name: str):
    """Subject and sender are found, and a bounce is a rare thing among them."""
    with gzip.open(real_data / name / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, MAILS)]
    bodies = [row["raw"].encode("utf-8", "surrogateescape") for row in rows]

    results = parser.parse_many([(body, "", "message/rfc822") for body in bodies])

    mails = [result.mail for result in results if isinstance(result, Parsed)]
    assert len(mails) == len(rows)
    expected = [email.message_from_bytes(body, policy=default)["subject"] for body in bodies]
    agreed = sum(
        ((mail and mail.subject) or "").split() == (subject or "").split()
        for mail, subject in zip(mails, expected, strict=True)
    )
    assert agreed >= 0.97 * len(rows)
    assert sum(bool(mail and mail.sender and "@" in mail.sender) for mail in mails) >= 0.99 * len(
        rows
    )
    assert sum(bool(mail and mail.bounce) for mail in mails) <= 0.02 * len(rows)
    assert sum(bool(mail and mail.text) for mail in mails) >= 0.97 * len(rows)
