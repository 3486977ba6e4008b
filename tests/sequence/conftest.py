"""Settings of this room's tests."""

from __future__ import annotations

from hypothesis import settings

# a busy machine is no bug: the first example also pays for imports
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
