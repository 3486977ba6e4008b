"""Mails a second over SMTP, each committed before its 250, and the memory of large ones.

    python -m benchmarks.smtp_intake [--mails 2000] [--senders 4] [--bytes 4000]

Starts a gateway on an empty ledger (SQLite, in a folder of its own), hands the mails in over
`senders` connections that stay open, and counts what is in the ledger afterwards.
"""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from ledger import Viewer, open_ledger


def send(port: int, mails: list[bytes]) -> list[float]:
    """Hand mails in over one connection; return the seconds that each took."""
    taken = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        for raw in mails:
            began = time.perf_counter()
            client.sendmail("ann@example.com", "help@example.org", raw)
            taken.append(time.perf_counter() - began)
    return taken


def memory(pid: int, field: str) -> int:
    """Return a process's VmRSS or VmHWM in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(field))


@click.command()
@click.option("--mails", default=2000, show_default=True)
@click.option("--senders", default=4, show_default=True)
@click.option("--bytes", "size", default=4000, show_default=True, help="Of each mail's body.")
def main(mails: int, senders: int, size: int) -> None:
    """Print one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/ledger.sqlite3", f"{folder}/files")
        ledger.migrate()
        line = (b"x" * 76 + b"\r\n") * max(1, size // 78)
        raws = [b"Message-ID: <%d@x>\r\nSubject: %d\r\n\r\n" % (i, i) + line for i in range(mails)]
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from commands import main; main()",
                "gateway",
                "--port",
                "0",
                "--json",
            ],
            env={
                "MAILROOM_DATA_DIR": folder,
                "PATH": "/usr/bin:/bin",
                "MAILROOM_LOG_LEVEL": "error",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            idle = memory(process.pid, "VmRSS")
            began = time.perf_counter()
            with ThreadPoolExecutor(senders) as pool:
                shares = pool.map(lambda n: send(port, raws[n::senders]), range(senders))
                times = sorted(second for share in shares for second in share)
            seconds = time.perf_counter() - began
            figures = {
                "mails": mails,
                "senders": senders,
                "bytes": size,
                "mails_per_second": round(mails / seconds, 1),
                "milliseconds_p50": round(1000 * times[len(times) // 2], 2),
                "milliseconds_p95": round(1000 * times[int(len(times) * 0.95)], 2),
                "in_the_ledger": ledger.documents.counts(Viewer()).get("waiting", 0),
                "idle_megabytes": idle,
                "peak_megabytes": memory(process.pid, "VmHWM"),
            }
        finally:
            process.terminate()
            process.wait()
            ledger.close()
        click.echo(json.dumps(figures))


if __name__ == "__main__":
    main()
