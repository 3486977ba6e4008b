"""`mailroom doctor`: what is set, what runs, and what is wrong with it."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--addresses", "show_addresses", is_flag=True, help="Only these, with passwords.")
@click.option("--pulse", "pulses", multiple=True, help="Only: is this queue consumed? Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(show_addresses: bool, pulses: tuple[str, ...], as_json: bool) -> None:
    """Say what is set, what runs, and what is wrong with it.

    --addresses prints where a Celery producer sends tasks (broker) and fetches answers
    (results). Exit 1 when something keeps Mailroom from working.
    """
    import json

    from settings import Settings
    from workers import doctor
    from workers.client import NoAddress, configure_logs

    settings = Settings()
    configure_logs(log_level="error")
    if show_addresses:
        try:
            found = doctor.addresses(settings)
        except NoAddress as error:
            raise click.ClickException(str(error)) from error
        lines = [json.dumps(found)] if as_json else [f"{n:<8} {url}" for n, url in found.items()]
        click.echo("\n".join(lines))
        return
    findings = doctor.examine_pulses(settings, pulses) if pulses else doctor.examine(settings)
    report = doctor.report(settings, findings)
    if as_json:
        click.echo(json.dumps(report))
    else:
        if not pulses:
            _print_report(report)
        for finding in findings:
            click.echo(f"{finding.level:<8} {finding.code:<22} {finding.message}")
        if not findings:
            click.echo("Nothing is wrong.")
    sys.exit(0 if report["ok"] else 1)


def _print_report(report: dict[str, object]) -> None:
    for part in ("versions", "settings"):
        values = report[part]
        if isinstance(values, dict):
            for name, value in values.items():
                click.echo(f"{name:<20} {'' if value is None else value}")
            click.echo()
