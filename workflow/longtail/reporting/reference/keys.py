"""The keys that a file of the configuration or the catalogue may have, out of its JSON schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longtail.reporting.markup import joined, markdown_table
from longtail.study.documents import flow, schema

COLUMNS = ("key", "value", "default", "what it says")
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
_NUMBERS, _FAR = ("integer", "number"), 2**31 - 1
_MARKDOWN = re.compile(r"([\\*_\[\]<>|])")


@dataclass(frozen=True)
class Key:
    """One key of a mapping.

    Attributes:
        name: as it is written.
        value: what it may be, in words.
        description: what the schema says of it, empty where it says nothing.
        required: whether the mapping must have it.
        default: as YAML, None where there is none.
        examples: as plain data.
        like: the place whose keys its mappings have, if these are shown there; empty else.
    """

    name: str
    value: str
    description: str
    required: bool
    default: str | None
    examples: Sequence[Any]
    like: str


@dataclass(frozen=True)
class Keys:
    """The keys of one mapping.

    Attributes:
        place: the keys that lead to it, joined by dots, with ``<what>`` for names of one's own; empty for a whole file.
        description: what the mapping is.
        keys: in the schema's order.
    """

    place: str
    description: str
    keys: Sequence[Key]


def mappings(name: str) -> Iterator[Keys]:
    """Every mapping of a kind of file, each after the one that holds it; what several hold is there once.

    Args:
        name: of the schema, such as ``config``.
    """
    document = schema(name).schema
    waiting = [*_mappings_in(document, "", document)]
    shown: dict[str, str] = {}
    while waiting:
        place, mapping = waiting.pop(0)
        keys, further = [], []
        for key, entry in mapping["properties"].items():
            resolved, like = _resolved(entry, document), ""
            for inner, found in _mappings_in(resolved, f"{place}.{key}".strip("."), document):
                like = shown.setdefault(json.dumps(found["properties"], sort_keys=True), inner)
                if like == inner:
                    further.append((inner, found))
                    like = ""
            keys.append(
                Key(
                    name=key,
                    value=_value(resolved, document),
                    description=_sentence(resolved.get("description", "")),
                    required=key in mapping.get("required", ()),
                    default=flow(resolved["default"]) if "default" in resolved else None,
                    examples=resolved.get("examples", ()),
                    like=like,
                )
            )
        waiting = [*further, *waiting]
        yield Keys(place, _sentence(mapping.get("description", "")), keys)


def section(keys: Keys) -> str:
    """A table of the keys of one mapping, under a heading with its place."""
    lines = [
        (
            f"`{key.name}`" + ("<br>required" if key.required else ""),
            _words(key.value),
            f"`{key.default}`" if key.default is not None else "",
            " ".join([_words(key.description), *_more(key)]).strip(),
        )
        for key in keys.keys
    ]
    head = [f"### `{keys.place}`" if keys.place else "", _words(keys.description), markdown_table(COLUMNS, lines)]
    return "\n\n".join(filter(None, head))


def _resolved(entry: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with what it refers to; what it says itself comes first."""
    if "$ref" not in entry:
        return dict(entry)
    named = document["$defs"][entry["$ref"].rpartition("/")[2]]
    return _resolved({**named, **{key: value for key, value in entry.items() if key != "$ref"}}, document)


def _mappings_in(
    entry: Mapping[str, Any], place: str, document: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place and schema of the mappings with keys of their own that a value is, or has below names or in a list."""
    if "properties" in entry:
        yield place, entry
    inner = [(place, other) for other in entry.get("oneOf", ()) if "$ref" in other or "type" in other]
    inner += [(place, entry["items"])] if "items" in entry else []
    if isinstance(others := entry.get("additionalProperties"), Mapping):
        inner.append((f"{place}.<{_named(entry)}>".strip("."), others))
    for where, other in inner:
        yield from _mappings_in(_resolved(other, document), where, document)


def _named(entry: Mapping[str, Any]) -> str:
    """What the names of a mapping with names of one's own are names of."""
    return str(entry.get("propertyNames", {}).get("title", "name"))


def _value(entry: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "const" in entry:
        return f"`{flow(entry['const'])}`"
    if "enum" in entry:
        return _choice(f"`{flow(value)}`" for value in entry["enum"])
    if "type" in entry:
        kinds = [entry["type"]] if isinstance(entry["type"], str) else entry["type"]
        return _choice(_kind(kind, entry, document) for kind in kinds)
    return _choice(_value(_resolved(other, document), document) for other in entry.get("oneOf", ())) or "anything"


def _kind(kind: str, entry: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_value(_resolved(entry.get('items', {}), document), document)}"
    if kind == "object":
        others = entry.get("additionalProperties")
        if not isinstance(others, Mapping):
            return "mapping"
        return f"{_named(entry)} to {_value(_resolved(others, document), document)}"
    bounds = [
        f"{word} {entry[key]}" for key, word in _BOUNDS.items() if kind in _NUMBERS and entry.get(key, _FAR) < _FAR
    ]
    return " ".join([_PLAIN[kind], *bounds])


def _choice(words: Iterable[str]) -> str:
    return joined(dict.fromkeys(words), "or")


def _sentence(text: str) -> str:
    """A description with a capital letter and a full stop, however the schema has it."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


def _more(key: Key) -> Iterator[str]:
    if key.like:
        yield f"Its keys are those of `{key.like}`."
    if key.examples:
        written = [f"`{_code(f'{key.name}: {flow(example)}')}`" for example in key.examples]
        yield f"For example {joined(written, 'or')}."


def _words(text: str) -> str:
    """A description in Markdown: what stands between backticks is code, all else means itself."""
    return "".join(
        f"`{_code(part[1:-1])}`" if part.startswith("`") else _MARKDOWN.sub(r"\\\1", part)
        for part in re.split(r"(`[^`]+`)", text)
    )


def _code(text: str) -> str:
    return text.replace("|", r"\|")
