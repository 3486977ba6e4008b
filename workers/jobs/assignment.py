"""What the process of one job is told: plain values, no address and no secret."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A job as its process sees it; `models_dir` is where trained models lie."""

    id: str
    workspace: str
    task: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    input_name: str = ""
    models_dir: Path
    device: str = "cpu"
    threads: int = 0  # of torch; 0: one a core

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self) | {"models_dir": str(self.models_dir)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Assignment:
        """Return the assignment of these values."""
        return cls(**values | {"models_dir": Path(values["models_dir"])})
