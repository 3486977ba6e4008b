"""A weights folder as one file, to keep in a store and to carry to other machines.

An uncompressed tar of plain files without folders. What comes out is checked against the
model's own manifest before it is put in its place, so half a parcel is never half a model.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from nlp.errors import BadParcel
from sequence.artifact import load_artifact
from sequence.errors import ArtifactError

MOST_FILES = 64
MOST_BYTES = 2_000_000_000


def pack(folder: Path, target: Path) -> None:
    """Write a weights folder's files to `target`; the same folder gives the same bytes."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as parcel:
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.name.startswith("."):
                continue
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with path.open("rb") as stream:
                parcel.addfile(entry, stream)


def unpack(source: Path, folder: Path) -> None:
    """Make a weights folder of a parcel, whole or not at all; harmless where it is there.

    Raises BadParcel when the file is no parcel, or what it holds is no whole model.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        made.chmod(0o755)
        _extract(source, made)
        load_artifact(made)  # every file against the manifest
        try:
            os.rename(made, folder)
        except OSError:
            if not folder.exists():  # else another process was first, with the same model
                raise
    except (tarfile.TarError, ArtifactError) as error:
        raise BadParcel(f"the file of {folder.parent.name} {folder.name} is damaged") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _extract(source: Path, folder: Path) -> None:
    """Write a parcel's plain files; nothing else may be in it, and none may lead elsewhere."""
    files = total = 0
    with tarfile.open(source, "r:") as parcel:
        for entry in parcel:
            files, total = files + 1, total + entry.size
            plain = entry.isreg() and Path(entry.name).name == entry.name and entry.name[0] != "."
            if not plain or files > MOST_FILES or total > MOST_BYTES:
                raise BadParcel(f"{entry.name!r} does not belong in a model")
            stream = parcel.extractfile(entry)
            if stream is None:
                raise BadParcel(f"{entry.name!r} does not belong in a model")
            with stream, (folder / entry.name).open("xb") as file:
                shutil.copyfileobj(stream, file)
