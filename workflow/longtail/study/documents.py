"""Reading the YAML of config and catalogue, and saying what is wrong with it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jsonschema
import yaml

from longtail.errors import LongtailError, closest, unknown
from longtail.study.plain import DEEPEST, require_plain


def shipped(name: str) -> Path:
    """A folder of data that comes with the package: within it where that is installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / name, package.parent / name) if folder.is_dir())


SCHEMAS = shipped("schemas")
# The C loader reads the catalogue several times faster; both build plain data only.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """The safe loader, without YAML's silent overwriting of repeated keys."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, list | dict) or key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _require_shallow(text: str) -> None:
    """The C loader would end in a segmentation fault for some thousands of brackets within each other."""
    depth = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} lists and mappings within each other")


def read_yaml(path: Path) -> Any:
    """The plain data of a YAML file.

    Raises:
        LongtailError: if the file cannot be read, is no YAML, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _require_shallow(text)
        return yaml.load(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise LongtailError(f"Cannot read {path}: {error}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise LongtailError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error


def _whole_match(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    """The keyword ``pattern``, which otherwise admits a line break after the end."""
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} is not of the form {pattern}")


_draft = jsonschema.Draft202012Validator
_Validator = jsonschema.validators.extend(
    _draft,
    validators={"pattern": _whole_match},
    # 10.0 would be written as such into names of files.
    type_checker=_draft.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


@functools.cache
def schema(name: str) -> Any:
    """A validator of ``schemas/<name>.schema.yaml``."""
    return _Validator(read_yaml(SCHEMAS / f"{name}.schema.yaml"))


def _telling(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of a value that fits none of several forms, what is wrong with it in the one form whose type it has."""
    branches: dict[Any, list[jsonschema.ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        errors for errors in branches.values() if not any(e.validator == "type" and not e.relative_path for e in errors)
    ]
    return _telling(jsonschema.exceptions.best_match(fitting[0])) if len(fitting) == 1 else error


def _complaint(error: jsonschema.ValidationError, examples: Mapping[str, Any]) -> str:
    """One sentence on one violation, with what was probably meant."""
    error = _telling(error)
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error.absolute_path).lstrip(".")
    where = f"{place}: " if place else ""
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = cast(Mapping[str, Any], error.schema).get("properties", {})
        extra = [key for key in error.instance if key not in known]
        return where + str(unknown("setting", extra[0], known))
    if error.validator == "enum":
        names = ["null" if name is None else str(name) for name in cast(list[Any], error.validator_value)]
        close = closest(error.instance, names)
        hint = f" Did you mean {close!r}?" if close else ""
        return f"{where}{error.instance!r} is none of {', '.join(names)}.{hint}"
    wrong = error.message[:300]
    if error.validator == "oneOf":
        wrong = f"{error.instance!r}"[:200] + " has none of the forms that it may have"
    return f"{where}{wrong}.{_as_in(error, examples)}"


def _as_in(error: jsonschema.ValidationError, examples: Mapping[str, Any]) -> str:
    """How the setting is written that a violation lies within, where its schema has an example."""
    name = str(next(iter(error.absolute_path), ""))
    forms = [f"'{name}={flow(example)}'" for example in examples.get(name, {}).get("examples", ())]
    return f" It is written as in {' or '.join(forms)}." if forms else ""


def flow(value: Any) -> str:
    """Plain data in YAML on one line, as the command line takes it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return str(value) if isinstance(value, str) else json.dumps(value)


def validate(document: Any, name: str, source: object) -> None:
    """Check a document against a schema.

    Args:
        document: plain data.
        name: the schema, e.g. ``"config"``.
        source: what to call the document in messages, e.g. its path.

    Raises:
        LongtailError: naming the place and the way out for the most telling violation, which may be that the document
            is not plain data at all.
    """
    require_plain(document, source)
    validator = schema(name)
    error = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if error is not None:
        raise LongtailError(f"{source}: {_complaint(error, validator.schema.get('properties', {}))}")
