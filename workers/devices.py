"""How many children a worker has, and which device and how many threads each uses.

One child a device: a second one would only fight for it. Torch is not loaded here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def cores() -> int:
    """Return how many processor cores this process may use, a container's quota included."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed or 1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such control group, or "max": no quota
        return max(1, allowed or 1)


def torch_threads(wanted: int) -> int:
    """Return the threads torch is to read with in one child: the setting, or one.

    A model this small has too little to share: two threads that sleep while they wait for each
    other read half as fast as one, two that spin a fifth faster, and the second core has other
    work. More workers use more cores.
    """
    return wanted or 1


def share_cores() -> None:
    """Let torch's idle threads sleep instead of spin; call it before torch is imported.

    Threads that spin while they wait for each other burn a core that another process needs: on
    two busy cores the same batch took 302 ms of wall and 209 ms of processor time with spinning
    threads, 12 and 12 with sleeping ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def cards(device: Literal["auto", "cpu", "cuda"]) -> int:
    """Return how many CUDA cards a worker is to use; 0 means the processor."""
    if device == "cpu":
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])
    return len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])


def device_of_child(device: Literal["auto", "cpu", "cuda"], slot: int) -> str:
    """Return the torch device of the child in a slot (0, 1, ...): `cpu` or `cuda:N`."""
    count = cards(device)
    return f"cuda:{slot % count}" if count else "cpu"
