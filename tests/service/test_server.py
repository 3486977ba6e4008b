"""The server as a process: it stops gently, refuses gently, and leaves nothing about."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ledger import Ledger, Viewer
from service.server import without_queries
from settings import Settings
from tests.service.serving import Server, environment, serving, started
from workers.client import open_ledger


def fresh_environment(folder: Path, empty_ledger: Path, broker_url: str) -> dict[str, str]:
    """Return an environment with a ledger, whose home and temporary folder are watched."""
    for name in ("data", "home", "tmp"):
        (folder / name).mkdir()
    shutil.copy(empty_ledger, folder / "data")
    return environment(
        folder / "data",
        broker_url,
        HOME=str(folder / "home"),
        TMPDIR=str(folder / "tmp"),
        MAILROOM_UPLOAD_BYTES="200000",
    )


@pytest.fixture
def env(tmp_path: Path, empty_ledger: Path, broker_url: str) -> dict[str, str]:
    """An environment for a server of the test's own."""
    return fresh_environment(tmp_path, empty_ledger, broker_url)


@contextmanager
def ledger_of(env: dict[str, str]) -> Iterator[Ledger]:
    """Open a server's ledger, as another process sees it."""
    ledger = open_ledger(Settings(data_dir=Path(env["MAILROOM_DATA_DIR"])))
    yield ledger
    ledger.close()


@contextmanager
def client_of(server: Server, ledger: Ledger) -> Iterator[httpx.Client]:
    """Be a program with a token."""
    secret = ledger.tokens.issue(Viewer(), name="test", scopes={"read", "write", "admin"})[1]
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, empty_ledger: Path, broker_url: str
) -> Iterator[tuple[httpx.Client, Ledger]]:
    """A client of a running server, and that server's ledger."""
    env = fresh_environment(tmp_path_factory.mktemp("server"), empty_ledger, broker_url)
    with serving(env) as server, ledger_of(env) as ledger, client_of(server, ledger) as client:
        yield client, ledger


@pytest.fixture
def client(shared: tuple[httpx.Client, Ledger]) -> httpx.Client:
    """A program with a token."""
    return shared[0]


@pytest.fixture
def ledger(shared: tuple[httpx.Client, Ledger]) -> Ledger:
    """The shared server's ledger."""
    return shared[1]


def test_a_document_goes_in_and_out(client: httpx.Client, ledger: Ledger) -> None:
    """What the tests of the application show holds behind the real server too."""
    answer = client.post("/api/v1/documents", files={"file": ("a.txt", b"Hello")})
    assert answer.status_code == 202
    assert ledger.documents.original(answer.json()["id"], Viewer())[1] == b"Hello"
    assert client.get(answer.headers["Location"]).json()["state"] == "waiting"


@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_a_large_upload_gets_its_answer(client: httpx.Client, size: int) -> None:
    """The sender reads why, and not that the connection broke."""
    answer = client.post("/api/v1/documents", files={"file": ("a.txt", b"x" * size)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_stranger_s_upload_gets_its_answer(client: httpx.Client) -> None:
    """A wrong token is said before anything is read, and the sender learns that."""
    headers = {"Authorization": "Bearer mr_wrong"}
    body = b"x" * 5_000_000
    answer = client.post("/api/v1/inbound/raw", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("path", "content_type", "sent"),
    [
        ("inbound/raw", "message/rfc822", b"Subject: half of\r\n\r\n"),
        ("documents", "application/json", b'{"text": "half of it"}  '),
        (
            "documents",
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf',
        ),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_half_a_document_is_none(
    client: httpx.Client,
    ledger: Ledger,
    path: str,
    content_type: str,
    sent: bytes,
    chunked: bool,
) -> None:
    """A mail cut off on its way must not be kept, read and answered as if it were whole."""
    before = ledger.documents.counts(Viewer())["waiting"]
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n"
    )
    if chunked:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        sent = f"{len(sent):x}\r\n".encode() + sent + b"\r\nnot a length\r\n"
    else:
        head += "Content-Length: 5000\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as line:
        line.settimeout(60)
        line.sendall(head.encode() + sent)
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b"400 BAD REQUEST" in answer
    assert b'"incomplete_body"' in answer
    assert ledger.documents.counts(Viewer())["waiting"] == before


def test_many_hand_in_at_once(client: httpx.Client, ledger: Ledger) -> None:
    """Every 202 is a document of its own in the ledger, however many come together."""
    before = ledger.documents.counts(Viewer())["waiting"]

    def hand_in(n: int) -> str:
        answer = client.post("/api/v1/documents", json={"text": f"Document {n}"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(max_workers=8) as pool:
        ids = set(pool.map(hand_in, range(80)))
    assert len(ids) == 80
    assert ledger.documents.counts(Viewer())["waiting"] == before + 80


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_it_has(
    env: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """A document whose request was on its way is still taken; the end is clean and leaves
    no control socket in the home folder and no upload in the temporary one."""
    half_sent, go_on = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b'{"text": "first half'
        half_sent.set()
        go_on.wait(60)
        yield b' and second"}'

    with serving(env) as server, ledger_of(env) as ledger, client_of(server, ledger) as client:
        client.post("/api/v1/documents", files={"file": ("a.txt", b"x" * 190_000)})
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(
                client.post,
                "/api/v1/documents",
                content=body(),
                headers={"Content-Type": "application/json"},
            )
            assert half_sent.wait(60)
            client.get("/healthz")  # the half-sent one was taken before this
            server.process.send_signal(number)
            go_on.set()
            assert answer.result(60).status_code == 202
        assert server.process.wait(60) == 0
        assert ledger.documents.counts(Viewer())["waiting"] == 2
    assert list((tmp_path / "home").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_taken_port_is_named(env: dict[str, str]) -> None:
    """A sentence, and not a stack of calls or five silent tries."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = started("web", "--port", str(port), env=env)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in errors


def test_without_a_broker_s_address_it_says_what_to_do(env: dict[str, str]) -> None:
    """Somebody who starts the web server alone learns what else is needed."""
    del env["MAILROOM_BROKER_URL"]
    process = started("web", "--port", "0", env=env)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "mailroom up" in errors


def test_no_token_reaches_the_log() -> None:
    """The address of a sign-in holds a token; what is logged of an address does not."""
    record = logging.LogRecord(
        "gunicorn.error", logging.ERROR, "", 0, "Error handling request %s %s",
        ("GET", "/sign-in?token=mr_secret"), None,
    )  # fmt: skip
    assert without_queries(record)
    assert "mr_secret" not in record.getMessage()


def test_an_error_of_ours_is_logged_without_the_document(app, api, caplog) -> None:  # type: ignore[no-untyped-def]
    """A fault's words may quote what was being read; the log gets its place and its type."""

    words = "Dear Ms Osei, the " + "diag" + "nosis is"  # not as such in a line of code

    @app.get("/broken")
    def broken() -> None:
        raise ValueError(words)

    answer = api("GET", "/broken", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "ValueError" in caplog.text
    assert "diagnosis" not in caplog.text + answer.text
