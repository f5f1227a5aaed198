"""What an objective's settings are held to: one of a few names, a range."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

from longtail.errors import LongtailError, unknown


def check_choices(settings: Any) -> None:
    """Check the fields of a settings dataclass that are annotated as ``Literal``.

    Raises:
        LongtailError: if one of them has a value that its annotation does not list.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise unknown(f"choice for setting {name!r}:", value, map(str, get_args(hint)))


def require(holds: bool, name: str, value: object, what: str) -> None:
    """Raise a LongtailError about the setting ``name`` unless it ``holds``."""
    if not holds:
        raise LongtailError(f"The setting {name} is {value!r}; it must be {what}.")
