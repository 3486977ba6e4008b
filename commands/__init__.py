"""The command line: one module a command, found by its file's name.

A module here holds a click command named `command`; what it needs is imported inside
the function, so that `mailroom --help` answers at once.
"""

from __future__ import annotations

import importlib
import pkgutil

import click


class Commands(click.Group):
    """The commands are the modules of this folder."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return every command's name, in alphabetical order."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, or None when there is no such module."""
        if name not in self.list_commands(context):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="openmailroom", prog_name="mailroom")
def main() -> None:
    """Read the paper that reaches a business and say what to do with it."""
