"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, and no deadline: how long an example takes says more about the machine than the code.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
