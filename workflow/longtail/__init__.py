"""Long-tailed learning, from raw images to the tables of the papers.

From Python: :func:`table`, :func:`train` and :func:`embeddings` (``docs/python.md``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longtail.errors import LongtailError
    from longtail.interface.cells import train
    from longtail.interface.embedded import Embeddings, embeddings
    from longtail.interface.tables import table

__version__ = "0.2.0"
__all__ = ["Embeddings", "LongtailError", "__version__", "embeddings", "table", "train"]

_PLACES = {
    "Embeddings": "longtail.interface.embedded",
    "LongtailError": "longtail.errors",
    "embeddings": "longtail.interface.embedded",
    "table": "longtail.interface.tables",
    "train": "longtail.interface.cells",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, as few commands need any of it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
