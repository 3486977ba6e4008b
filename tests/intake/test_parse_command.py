"""`mailroom parse` prints one JSON object a line and file, and dies on none."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from commands import main
from tests.intake import samples

KEYS = ["file", "type", "text", "characters", "pages", "error", "mail"]
MAIL_KEYS = [
    *("subject", "from", "to", "cc", "date", "message_id", "text", "reply_text", "attachments"),
    *("references", "auto_reply", "bulk", "bounce", "importance", "headers", "warnings"),
]


def test_every_file_gets_its_line(tmp_path: Path):
    """Readable, damaged, missing: the order is that of the arguments, the status is 0."""
    files = {
        "a.eml": b"From: a@example.org\nSubject: s\nTo: b@c.d\n\nhello\n",
        "b.pdf": samples.make_pdf("page"),
        "c.bin": b"\x7fELF" + bytes(200),
        "d.txt": "naïve \x00 text".encode(),
        "é\udcff.txt": b"odd name",
    }
    paths = []
    for name, body in files.items():
        path = tmp_path / name
        path.write_bytes(body)
        paths.append(str(path))
    paths += [str(tmp_path / "missing.eml"), str(tmp_path)]

    result = CliRunner().invoke(main, ["parse", *paths, "--json"])

    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item["file"] for item in found] == paths
    assert all(list(item) == KEYS for item in found)
    assert [item["error"] and item["error"]["code"] for item in found] == [
        *(None, None, "unknown_type", None, None),
        *("unreadable_file", "unreadable_file"),
    ]
    assert list(found[0]["mail"]) == MAIL_KEYS
    assert found[0]["text"] == "s\n\nhello"
    assert found[1]["pages"] == 1
    assert found[3]["text"] == "naïve  text"


def test_people_can_read_it(tmp_path: Path):
    """Without --json a person sees the parts of a mail and what was recognised."""
    path = tmp_path / "a.eml"
    path.write_bytes(
        b"From: a@example.org\nSubject: s\nList-Id: <x>\nContent-Type: multipart/mixed; boundary=b"
        b"\n\n--b\n\nhello\n--b\nContent-Type: image/png; name=p.png\n\n1\n--b--\n"
    )

    output = CliRunner().invoke(main, ["parse", str(path)]).output

    for piece in ("a@example.org", "Subject: s", "p.png, image/png, 1 bytes", "bulk", "hello"):
        assert piece in output
