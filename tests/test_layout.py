"""The rooms' arrows: who may import whom, and that the web side never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Imports go down this table only; CONTRIBUTING.md says what each room knows.
ALLOWED: dict[str, set[str]] = {
    "service": {"workers", "routing", "intake", "ledger", "settings"},
    "workers": {"nlp", "timeseries", "routing", "connectors", "intake", "ledger", "settings"},
    "nlp": {"sequence"},
    "timeseries": {"sequence"},
    "routing": set(),
    "connectors": set(),
    "sequence": set(),
    "intake": set(),
    "ledger": set(),
    "settings": set(),
}
OURS = {*ALLOWED, "commands", "benchmarks", "tests"}


def imported_modules(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(room: str) -> list[Path]:
    """Return every source file of a room."""
    alone = ROOT / f"{room}.py"
    return [alone] if alone.exists() else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_down_only(room: str) -> None:
    """A room that imports upwards could no longer be understood, or started, without the rest."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(room)
        for name in imported_modules(path)
        if (target := name.split(".")[0]) in OURS and target not in {room, *ALLOWED[room]}
    ]
    assert not wrong


def test_the_front_reaches_workers_by_one_door() -> None:
    """Pages and API that reach past `workers.client` would load models into the web process."""
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of("service")
        for name in imported_modules(path)
        if name.split(".")[0] == "workers" and not name.startswith("workers.client")
    ]
    assert not wrong


@pytest.mark.parametrize("module", ["service.app", "service.gateway", "workers.client", "commands"])
def test_the_front_starts_without_torch(module: str) -> None:
    """Torch would cost every web process some hundred megabytes and seconds at start."""
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert finished.returncode == 0


def test_help_is_instant_because_commands_import_nothing_heavy() -> None:
    """A command line that loads models before it prints its help is one people stop using."""
    program = (
        "import sys, click, commands; context = click.Context(commands.main);"
        "[commands.main.get_command(context, n) for n in commands.main.list_commands(context)];"
        "heavy = {'torch', 'spacy', 'polars', 'celery', 'flask', 'sqlalchemy', 'numpy'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(bool(heavy & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
