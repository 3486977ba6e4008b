"""A private Dovecot on a free port, with its mail in a folder that goes away with it."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imap_tools import MailBoxUnencrypted

PASSWORD = "correct-horse"

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 100
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail_user} gid={mail_group} home={folder}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{extra}
"""


@dataclass(frozen=True)
class Dovecot:
    """A running server: any user may sign in with PASSWORD."""

    host: str
    port: int
    folder: Path

    def mailbox(self, user: str) -> MailBoxUnencrypted:
        """Return a signed-in mailbox; use it in a `with`."""
        mailbox = MailBoxUnencrypted(self.host, self.port, timeout=20)
        mailbox.login(user, PASSWORD)
        return mailbox

    def settings(self, user: str) -> dict[str, object]:
        """Return the settings with which our own code reaches an account."""
        return {
            "host": self.host,
            "port": self.port,
            "security": "none",
            "username": user,
            "password": PASSWORD,
        }


@contextmanager
def running_dovecot(extra: str = "") -> Iterator[Dovecot]:
    """Run a server; its folder lies where the mail user can reach it."""
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    try:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        configuration = folder / "dovecot.conf"
        configuration.write_text(_configured(folder, port, extra))
        process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_listens(process, port, folder)
            yield Dovecot("127.0.0.1", port, folder)
        finally:
            process.terminate()
            process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configured(folder: Path, port: int, extra: str) -> str:
    """Return a configuration under which it runs as root and as anybody else."""
    root = os.geteuid() == 0
    me = getpass.getuser()
    mine = pwd.getpwnam("mail" if root else me)
    for name in ("mail", "home"):
        (folder / name).mkdir()
        os.chown(folder / name, mine.pw_uid, mine.pw_gid)
    folder.chmod(0o755)
    return _CONFIGURATION.format(
        folder=folder,
        port=port,
        password=PASSWORD,
        internal="dovecot" if root else me,
        internal_group="dovecot" if root else "",
        login="dovenull" if root else me,
        mail_user=mine.pw_uid,
        mail_group=mine.pw_gid,
        extra=extra,
    ).replace("default_internal_group = \n", "")


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                if connection.recv(100).startswith(b"* OK"):
                    return
        except OSError:
            time.sleep(0.02)
    log = folder / "dovecot.log"
    raise RuntimeError(f"Dovecot did not start: {log.read_text() if log.exists() else ''}")
