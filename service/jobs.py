"""Acting on a long job from its page: cancel it, try it again, erase it."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from ledger import Job
from ledger.errors import LedgerError
from service.access import viewer
from service.parts import parts


def register(bp: Blueprint, *, found: Callable[[str], Job], erased: str) -> None:
    """Let the pages of a blueprint act on the jobs that `found` finds; `erased` is said then.

    The blueprint has the views `index` and `show`, to go on to.
    """

    @bp.post("/jobs/<job_id>/<any(cancel, retry):action>")
    def act(job_id: str, action: str) -> ResponseReturnValue:
        """Cancel a job or try it again; what came too late is said."""
        try:
            job = getattr(parts().ledger.jobs, action)(found(job_id).id, viewer())
        except LedgerError as error:
            flash(f"That came too late: {error}.")
        else:
            parts().client.ring(job.queue)
        return redirect(url_for(".show", job_id=job_id), 303)

    @bp.post("/jobs/<job_id>/delete")
    def delete(job_id: str) -> ResponseReturnValue:
        """Erase a job with all it left."""
        parts().ledger.jobs.delete(found(job_id).id, viewer())
        flash(erased)
        return redirect(url_for(".index"), 303)
