"""Mailboxes that are read: how each is doing, and the mails that were set aside."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from service import access
from service.access import viewer
from service.mailboxes.accounts import accounts_file, read_accounts
from service.mailboxes.errors import BadAccounts
from service.navigation import Link
from service.parts import parts

LINK = Link("/mailboxes", "Mailboxes", 30)

bp = Blueprint("mailboxes_page", __name__, url_prefix="/mailboxes")
bp.before_request(access.session_gate)

SHOWN_ASIDE = 50
STATES = {
    "configured": "not read yet",
    "connecting": "connecting",
    "reading": "reading",
    "listening": "up to date, told of new mail at once",
    "polling": "up to date, looked at now and then",
    "failed": "not reached",
}


@bp.get("")
def show() -> str:
    """Show every account with its folders, and what was set aside."""
    wrong, named = None, []
    try:
        named = [
            account.name
            for account in read_accounts(accounts_file(parts().settings.data_dir))
            if account.workspace == viewer().workspace
        ]
    except BadAccounts as error:
        wrong = str(error)
    known = parts().ledger.mailboxes.list(viewer())
    return render_template(
        "mailboxes.html",
        wrong=wrong,
        boxes=known,
        new=sorted(set(named) - {box.account for box in known}),
        gone={box.account for box in known} - set(named) if wrong is None else set(),
        aside=parts().ledger.mailboxes.aside(viewer(), limit=SHOWN_ASIDE),
        states=STATES,
        may_write={"write", "admin"} & viewer().scopes,
    )


@bp.post("/aside/<aside_id>/again")
def again(aside_id: str) -> ResponseReturnValue:
    """Ask the reader to take a mail that was set aside."""
    parts().ledger.mailboxes.try_again(aside_id, viewer())
    flash("It is tried again within a few seconds.")
    return redirect(url_for("mailboxes_page.show"), 303)
