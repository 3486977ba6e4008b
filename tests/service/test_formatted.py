"""A mail as its sender formatted it: seen by a person, and nothing in it runs or loads."""

from __future__ import annotations

import pytest

from intake import Limits
from intake.errors import ParseTimeout
from intake.mail.message import read_mail
from intake.mail.view import formatted, formatted_apart
from ledger import Ledger, Viewer
from ledger.owed import Finished
from tests.service.conftest import Api, Person
from tests.service.test_pages import active_parts

HOSTILE = b"""From: a@example.org
Subject: Offer
Content-Type: multipart/related; boundary=q

--q
Content-Type: text/html; charset=utf-8

<html><head><style>p{background:url(http://x/1)}</style><base href="http://x"></head>
<body onload="x()"><p style="color:red">Hello <a href="http://x/phish">click</a>
<b style="background:url(http://x/2)">b</b><img src="http://x/3.gif"><img src="//x/4.gif">
<img src="cid:one"><img src="data:image/svg+xml;base64,AAAA"><script>alert(1)</script>
<svg><image href="http://x/5"></image></svg><form action="http://x"><input name=y></form>
<iframe src="http://x/6"></iframe><object data="http://x/7"></object>
<meta http-equiv="refresh" content="0;url=http://x"><link rel="stylesheet" href="http://x/8">
--q
Content-Type: image/png
Content-ID: <one>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--q--
"""


def test_nothing_in_it_runs_loads_or_leads_anywhere() -> None:
    """A picture that loads tells its sender who reads when; a script reads everybody's mail."""
    view = formatted(HOSTILE)
    assert view is not None
    assert active_parts(view.html) == ["style", "img", "img", "img", "src=data:image/png;base64,"
                                       "iVBORw0KGgo=", "img"]  # fmt: skip
    assert "http" not in view.html
    assert "url(" not in view.html
    assert "alert" not in view.html
    assert "color:red" in view.html.replace(" ", "")
    assert view.remote == 3
    assert formatted(b"From: a@b.c\n\nplain") is None


def test_a_page_that_takes_for_ever_takes_nobody_with_it() -> None:
    """One hostile mail would hold a web process for minutes."""
    boxes = b"From: a@b.c\nContent-Type: text/html\n\n" + b"<div>" * 200_000
    with pytest.raises(ParseTimeout):
        formatted_apart(boxes, seconds=1)


def test_a_person_sees_it_in_a_frame_under_its_own_policy(
    person: Person, api: Api, ledger: Ledger, other_api: Api
) -> None:
    """Should the cleaning miss something, the browser still runs and loads nothing."""
    document = ledger.documents.accept(HOSTILE, viewer=Viewer(), source="smtp", kind="email")
    parsed = read_mail(HOSTILE, Limits())
    assert parsed.mail is not None
    (row,) = ledger.owed.claim(
        "interactive", holder="t", items=1, characters=9, lease_seconds=60, attempts_allowed=3
    )
    ledger.owed.finish(
        [Finished(owed_id=row.id, outcome={}, text=parsed.text, mail=parsed.mail.to_json())],
        holder="t",
    )
    page = person.client.get(f"/documents/{document.id}/formatted")
    assert 'sandbox src="/documents/' in page.text
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    inside = person.client.get(f"/documents/{document.id}/html")
    policy = inside.headers["Content-Security-Policy"]
    assert policy.endswith("sandbox")
    assert "script-src" not in policy
    assert "http" not in policy
    assert inside.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "3 remote pictures were not loaded" in inside.text
    assert "Hello" in inside.text
    shown = person.client.get(f"/documents/{document.id}").text
    assert f"/documents/{document.id}/formatted" in shown
    note = api.submit("no mail")
    assert person.client.get(f"/documents/{note}/html").status_code == 404
