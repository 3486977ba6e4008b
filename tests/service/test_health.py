"""Probes and figures: alive is not ready, and ready means that work goes through."""

from __future__ import annotations

import pytest
from flask import Flask
from pydantic import SecretStr

from ledger import Ledger
from service import health
from service.app import create_app
from settings import Settings
from tests.service import outcomes
from tests.service.conftest import Api, Person


def codes(app: Flask, path: str = "/readyz") -> tuple[int, str]:
    """Return a probe's status and words."""
    answer = app.test_client().get(path)
    return answer.status_code, answer.text


def test_a_living_process_is_not_yet_ready(app: Flask) -> None:
    """A web server without workers takes documents that nobody reads: the probe says so."""
    assert codes(app, "/healthz")[0] == 200
    status, words = codes(app)
    assert status == 503
    assert "interactive" in words


def test_ready_once_work_goes_through(app: Flask, ledger: Ledger) -> None:
    """A pulse is work that went through the queue, and that is what counts."""
    ledger.pulses.beat("interactive", "worker")
    assert codes(app)[0] == 200


def test_a_queue_that_stands_still_is_named() -> None:
    """Alive means consuming: an old pulse is as bad as none."""
    assert health.quiet_queues({"interactive": 1.0, "bulk": 2.0}, 60) == []
    (wrong,) = health.quiet_queues({"interactive": 1.0, "bulk": 90.0}, 60)
    assert "bulk for 90 seconds" in wrong


def test_without_a_broker_it_is_not_ready(settings: Settings) -> None:
    """Documents are kept all the same, but the probe and the page say what is wrong."""
    settings = settings.model_copy(update={"broker_url": SecretStr("redis://127.0.0.1:1/0")})
    app = create_app(settings)
    app.extensions["mailroom"].ledger.pulses.beat("interactive", "worker")
    status, words = codes(app)
    assert status == 503
    assert "The broker does not answer." in words
    app.extensions["mailroom"].ledger.close()


def test_a_ledger_that_is_not_migrated_is_not_ready(settings: Settings) -> None:
    """Started before the migration, the server waits to be used."""
    (settings.data_dir / "ledger.sqlite3").unlink()
    app = create_app(settings)
    status, words = codes(app)
    assert status == 503
    assert "mailroom migrate" in words
    app.extensions["mailroom"].ledger.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_tell_strangers_nothing_of_documents(app: Flask, api: Api, path: str) -> None:
    """They are open: what they say is for everyone."""
    document_id = api.submit("secret words", name="secret.txt")
    words = codes(app, path)[1]
    assert "secret" not in words
    assert document_id not in words


def test_figures_need_a_token(app: Flask) -> None:
    """How much a business gets is its own affair."""
    assert app.test_client().get("/metrics").status_code == 401


def test_figures_are_the_ledger_s(api: Api, ledger: Ledger) -> None:
    """What a monitor sees is what is owed and what went through, whichever process answers."""
    done = api.submit("Lovely")
    api.submit("Waiting")
    outcomes.finish(ledger, done, outcome=outcomes.review("Lovely", {"Lovely": 1}), text="Lovely")
    ledger.pulses.beat("interactive", "worker", documents=5)
    text = api("GET", "/metrics").text

    assert 'mailroom_owed{queue="interactive"} 1.0' in text
    assert 'mailroom_documents{state="done"} 1.0' in text
    assert 'mailroom_documents_finished_total{queue="interactive"} 5.0' in text
    assert "mailroom_pulse_age_seconds" in text


def test_the_status_page_says_it_in_words(person: Person, api: Api, ledger: Ledger) -> None:
    """Nobody needs to know what a queue is to see whether documents are read."""
    api.submit()
    page = person.client.get("/status").text
    assert "No work ever went through the queue interactive." in page
    ledger.pulses.beat("interactive", "worker")
    page = person.client.get("/status").text
    assert "Everything works." in page
