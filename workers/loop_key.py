"""The key by which this installation knows the mails that it sent on itself."""

from __future__ import annotations

import hashlib
import os
import secrets

from settings import Settings


def loop_key(settings: Settings) -> bytes:
    """Return the key: derived from the secret key, or made once and kept in the data folder.

    Several machines share it where they share MAILROOM_SECRET_KEY.
    """
    if settings.secret_key is not None:
        secret = settings.secret_key.get_secret_value().encode()
        return hashlib.sha256(b"mailroom loop\0" + secret).digest()
    folder = settings.data_dir.expanduser().resolve()
    path = folder / "loop.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / f".loop.key.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(made, path)  # fails where another process was first: its key is the key
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return bytes.fromhex(path.read_text())
