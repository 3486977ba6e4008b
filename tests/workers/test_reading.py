"""Batches that fail, limits that end, sizes that adapt: what needs neither broker nor model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from settings import Settings
from workers import app, doctor
from workers.claiming import Pace
from workers.context import Context, lives
from workers.limits import TimeIsUp, time_limit
from workers.process import Identity
from workers.reading import Incoming, Readers, split_until_alone


@given(st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_a_bad_item_costs_the_others_nothing(size: int, bad: set[int]) -> None:
    """A model that raises on some texts still answers for all the others, in order."""
    runs = 0

    def reader(items: list[int]) -> list[str]:
        nonlocal runs
        runs += 1
        if bad & set(items):
            raise ValueError("one of these")
        return [f"read {item}" for item in items]

    with capture_logs():
        answers = split_until_alone(reader, list(range(size)))

    assert len(answers) == size
    for item, answer in enumerate(answers):
        assert isinstance(answer, ValueError) if item in bad else answer == f"read {item}"
    if len(bad & set(range(size))) == 1:
        assert runs <= 2 * size.bit_length() + 1, "one bad item is alone after few runs"


def test_the_time_limit_ends_work_and_a_broad_except_does_not_stop_it() -> None:
    """A library's `except Exception` must not turn a stopped batch into a finished one."""

    def stubborn() -> None:
        while True:
            try:
                time.sleep(10)
            except Exception:
                continue

    with pytest.raises(TimeIsUp), time_limit(0.05):
        stubborn()
    with time_limit(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0, "a limit outlived its block"


def test_batches_hold_what_is_read_in_their_time() -> None:
    """A person waits for about one batch; and a slow hour must not make batches of one."""
    pace = Pace(0.5, most=400_000)
    for _ in range(20):
        pace.note(pace.characters(), pace.characters() / 600_000)  # 600,000 a second
    assert 250_000 < pace.characters() <= 320_000
    before = pace.characters()
    pace.note(before, 60.0)
    assert pace.characters() >= before // 2, "one odd batch says little"
    pace.note(100, 0.4)
    assert pace.characters() >= before // 2, "nor does a short one"
    for _ in range(20):
        pace.note(pace.characters(), 100.0)
    assert pace.characters() == 10_000, "short documents are still taken many at a time"


def test_a_holder_is_known_to_live_or_to_be_dead_on_its_own_machine_only() -> None:
    """Taking a living process's documents would read them twice; waiting for a dead one delays."""
    mine = Context(Settings(), name="w").holder
    assert lives(mine) is True
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    machine, me, name = mine.split(" ")
    assert lives(f"{machine} {process.pid}-1 {name}") is False
    assert lives(f"{machine} {os.getpid()}-1 {name}") is False, "the same id, another start"
    assert lives(f"elsewhere/1 {me} {name}") is None
    assert lives("no such form") is None


def test_a_zombie_does_not_live() -> None:
    """A dead child nobody waited for holds nothing any more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with open(f"/proc/{process.pid}/stat") as file:
        identity = Identity(process.pid, file.read().rpartition(")")[2].split()[19])
    assert identity.alive()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive()
    process.communicate()


def test_a_forked_child_lets_go_of_its_parents_connections() -> None:
    """A copy in a child kept the worker's poller spinning on a connection it had closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        pair = socket.socketpair()
        program = (
            "import os, sys; from workers.process import drop_inherited_connections;"
            "dropped = drop_inherited_connections(); base = os.path.basename;"
            "print(dropped, [base(os.readlink(f'/proc/self/fd/{n}'))"
            " for n in sys.argv[1:]])"
        )
        numbers = [connection.fileno(), accepted.fileno(), pair[0].fileno()]
        answer = subprocess.run(
            [sys.executable, "-c", program, *map(str, numbers)],
            pass_fds=numbers,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        connection.close()
        accepted.close()
        for end in pair:
            end.close()
    assert answer.startswith("2 ['null', 'null', 'socket:")


def test_a_setting_that_celery_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery ignores a misspelt setting without a word: jobs would run without their limits."""
    settings = Settings(broker_url="redis://127.0.0.1:1/0", results_url="redis://127.0.0.1:1/0")
    real = app.configuration(settings)
    monkeypatch.setattr(app, "configuration", lambda _: {**real, "prefetch_multiplier": 1})
    with pytest.raises(ValueError, match="prefetch_multiplier"):
        app.make_app(settings)


def test_unacknowledged_work_comes_back_only_after_every_limit() -> None:
    """A message that is restored while its task still runs is run twice."""
    settings = Settings(task_seconds=500, parse_seconds=100)
    conf = app.configuration(settings)
    visibility = conf["broker_transport_options"]["visibility_timeout"]
    assert visibility > conf["task_time_limit"] > settings.task_seconds + settings.parse_seconds


def test_a_file_that_cannot_be_read_is_an_answer_in_its_place() -> None:
    """Intake's errors are about the file: they are kept with it and never tried again."""
    readers = Readers(models_dir=None)
    try:
        empty, unknown = readers.read(
            [Incoming(b"", "review"), Incoming(b"\x00\x01\x02\xff\xfe\x80", "review", "x.bin")]
        )
    finally:
        readers.close()
    for reading, code in ((empty, "empty_file"), (unknown, "unknown_type")):
        assert reading is not None
        assert reading.error is not None
        assert (reading.error["code"], reading.transient) == (code, False)


def test_doctor_masks_secrets_and_looking_makes_nothing(tmp_path) -> None:
    """Its output is pasted into bug reports; and it must not create what it looks for."""
    settings = Settings(
        data_dir=tmp_path / "none",
        broker_url="redis://:secret1@127.0.0.1:1/0",
        results_url="redis://:secret2@127.0.0.1:1/0",
        secret_key="secret3",
        lease_seconds=10,
    )
    findings = doctor.examine(settings)
    report = doctor.report(settings, findings)

    codes = {finding.code for finding in findings}
    assert {"broker_unreachable", "results_unreachable", "no_ledger", "lease_too_short"} <= codes
    assert report["ok"] is False
    shown = str(report)
    assert not [secret for secret in ("secret1", "secret2", "secret3") if secret in shown]
    assert doctor.addresses(settings)["broker"] == "redis://:secret1@127.0.0.1:1/0"
    assert not (tmp_path / "none").exists()


def test_a_worker_reads_with_one_thread_unless_told() -> None:
    """Two that wait for each other read half as fast as one, and the second core has other work."""
    script = (
        "import sys, torch; from workers.reading import Incoming, Readers\n"
        "readers = Readers(models_dir=None, threads=int(sys.argv[1]))\n"
        "readers.read([Incoming('A fine film.', 'review')]); readers.close()\n"
        "print(torch.get_num_threads())"
    )

    def threads(wanted: int) -> int:
        command = [sys.executable, "-c", script, str(wanted)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout.split()[-1])

    assert threads(0) == 1
    assert threads(2) == 2
