"""Trainings: labelled texts handed in, looked at, and owed as a job; models and their versions."""

from __future__ import annotations

import re
from typing import Any

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from ledger import Job, Viewer
from ledger.viewer import DEFAULT_WORKSPACE
from service.access import viewer
from service.batches import pieces_of
from service.errors import EmptyDocument, InvalidRequest, UnsupportedMediaType
from service.parts import parts
from service.samples import TABLE
from service.submission import clean_name
from workers.client import look_at_labelled, shipped_models

QUEUE, TASK = "training", "train"
ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".parquet")
KEPT_SECONDS = 1800  # that a person may take to confirm columns; then the file is handed in anew
COLUMN_CHARACTERS = 255
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ENCODERS = ("bilstm", "bigru", "lstm", "gru", "rnn", "transformer")
TEACHERS = ("auto", "none")

Kept = tuple[str, int, str]  # sha256, size in bytes, the file's own name


def keep_upload() -> Kept:
    """Put the one file of this request's form into the store."""
    files = request.files.getlist("file")
    if len(files) != 1 or not files[0].filename:
        raise InvalidRequest("Choose one file of labelled texts.")
    name = clean_name(files[0].filename)
    if not name.lower().endswith(ENDINGS):
        raise UnsupportedMediaType(f"A file's name ends in one of {', '.join(ENDINGS)}.")
    kept = parts().ledger.files.put_pieces(pieces_of(files[0].stream))
    if not kept.size:
        raise EmptyDocument("The file has no bytes.")
    return kept.sha256, kept.size, name


def keep_demonstration() -> Kept:
    """Put the table that comes with the product into the store."""
    kept = parts().ledger.files.put_file(TABLE)
    return kept.sha256, kept.size, TABLE.name


def sealed(kept: Kept) -> str:
    """Return what a page carries to name a kept file; nobody else can make one."""
    return str(_seal().dumps([viewer().workspace, *kept]))


def unsealed(mark: str) -> Kept:
    """Return the file that a page of this workspace names; raises InvalidRequest."""
    try:
        workspace, sha256, size, name = _seal().loads(mark, max_age=KEPT_SECONDS)
    except BadSignature as error:
        raise InvalidRequest("The file is no longer at hand: choose it again.") from error
    if workspace != viewer().workspace:
        raise InvalidRequest("The file is no longer at hand: choose it again.")
    return str(sha256), int(size), str(name)


def seen(kept: Kept, text: str | None, label: str | None) -> dict[str, Any]:
    """Return what a training would find in a kept file; raises CannotLook, BodyMissing."""
    sha256, _, name = kept
    return look_at_labelled(parts().ledger, sha256, name, text=text, label=label)


def begin(kept: Kept) -> Job:
    """Owe a training as this request's form says, and ring for a worker."""
    sha256, size, file_name = kept
    name = checked_name(request.form.get("name", "").strip())
    job = parts().ledger.jobs.add(
        viewer(),
        queue=QUEUE,
        task=TASK,
        name=name,
        options=_options() | {"least_version": int(parts().ledger.models.next_version(name))},
        input=sha256,
        input_size=size,
        input_name=file_name,
    )
    parts().client.ring(QUEUE)
    return job


def checked_name(name: str) -> str:
    """Return a name that a model of the viewer's may have; raises InvalidRequest."""
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            "A model's name has up to 64 letters, digits, dots, hyphens and underscores."
        )
    taken = {model["name"] for model in shipped_models()} | set(parts().client.kinds())
    if name in taken or not parts().ledger.models.is_free(name, viewer()):
        raise InvalidRequest(f"The name {name!r} is taken: choose another.")
    return name


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {}
    for field in ("text", "label", "out_of_scope"):
        value = request.form.get(field, "")
        if len(value) > COLUMN_CHARACTERS:
            raise InvalidRequest(f"{field} has at most {COLUMN_CHARACTERS} characters.")
        if value:
            options[field] = value
    if not options.get("text") or not options.get("label") or options["text"] == options["label"]:
        raise InvalidRequest("Say which column holds the text, and which other one the label.")
    for field, known in (("encoder", ENCODERS), ("teacher", TEACHERS)):
        value = request.form.get(field) or known[0]
        if value not in known:
            raise InvalidRequest(f"{field} is one of {', '.join(known)}.")
        options[field] = value
    if request.form.get("examples") == "no":
        options["examples"] = False
    return options


def found(job_id: str) -> Job:
    """Return a training; raises NotFound for a job of another kind."""
    job = parts().ledger.jobs.get(job_id, viewer())
    if job.task != TASK:
        return parts().ledger.jobs.get("", viewer())  # which there is not
    return job


def models() -> list[dict[str, Any]]:
    """Return the viewer's trained models, newest version first, each with what may be done."""
    ledger = parts().ledger
    kept = ledger.models.trained(viewer())
    active = {name: ledger.models.active(name) for name in {model.name for model in kept}}
    return [
        {
            "model": model,
            "active": active[model.name] == model.version,
            "heads": _heads(model.facts),
        }
        for model in kept
    ]


def use(job: Job) -> dict[str, bool]:
    """Say whether the version that a training made is at work, and may be put to it from here."""
    version = str((job.result or {}).get("version", ""))
    kept = [model.version for model in parts().ledger.models.trained(viewer(), job.name)]
    at_work = version in kept and parts().ledger.models.active(job.name) == version
    return {"at_work": at_work, "may_work": version in kept and not at_work and decides()}


def shipped() -> list[dict[str, Any]]:
    """Return the models that come with the product."""
    return [
        model | {"heads": _heads(model["facts"])}
        for model in shipped_models()
        if model["facts"]["labels"] or model["facts"]["scores"]
    ]


def decides() -> bool:
    """Say whether the viewer may put a version to work: an admin of the installation."""
    asking: Viewer = viewer()
    return asking.workspace == DEFAULT_WORKSPACE and "admin" in asking.scopes


def _heads(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each head with its labels' number and dev's figures, where they are known.

    A model that marks stretches has no heads: what it was scored on stands in their place.
    """
    told = facts.get("scores")
    scores = told if isinstance(told, dict) else {}
    labels = facts.get("labels") or {}
    heads = []
    for head in [*labels, *(name for name in scores if not labels)]:
        own = scores.get(head)
        figures = own if isinstance(own, dict) else {}
        heads.append({"head": head, "labels": labels.get(head)} | _plain(figures))
    return heads


def _plain(figures: dict[str, Any]) -> dict[str, float | None]:
    names = ("accuracy", "f1", "coverage_at_95_precision", "coverage_at_98_precision", "ece")
    return {
        name: value if isinstance(value := figures.get(name), float | int) else None
        for name in names
    }


def _seal() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="mailroom kept texts")
