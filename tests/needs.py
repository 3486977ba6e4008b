"""Say which parts the tests need and this machine lacks: `python -m tests.needs`."""

from __future__ import annotations

import shutil
import sys

from tests import postgresql

# what is needed -> (is it here?, the Debian package that brings it)
NEEDS = {
    "a PostgreSQL server": (lambda: postgresql.find_programs() is not None, "postgresql"),
    "Chromium": (lambda: shutil.which("chromium") is not None, "chromium"),
    "an IMAP server (Dovecot)": (lambda: shutil.which("dovecot") is not None, "dovecot-imapd"),
    "an SMTP client (swaks)": (lambda: shutil.which("swaks") is not None, "swaks"),
}


def main() -> int:
    """Return 1 and name every missing part with the line that installs it, or return 0."""
    missing = {name: package for name, (found, package) in NEEDS.items() if not found()}
    if not missing:
        return 0
    print("The tests run against real parts, and these are missing here:", file=sys.stderr)
    for name in missing:
        print(f"  - {name}", file=sys.stderr)
    print(f"\n  sudo apt-get install {' '.join(missing.values())}\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
