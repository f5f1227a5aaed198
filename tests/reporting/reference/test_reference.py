"""The pages of datasets, papers and keys say what catalogue and schemas say, and are what stands under docs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from longtail.__main__ import main
from longtail.reporting.reference import datasets, files, gallery, papers
from longtail.reporting.reference.command import PAGES
from longtail.reporting.reference.keys import mappings, section
from longtail.study import catalog as catalogue
from longtail.study import documents

ROOT = Path(__file__).parents[3]
CATALOG = catalogue.load()
SHOWN = ["config", *(schema for schema, _ in files.FILES.values())]
ANNOTATIONS = ("$schema", "$defs", "title", "description", "default", "examples", "then")


def test_the_pages_are_up_to_date(tmp_path):
    shutil.copytree(ROOT / "docs" / gallery.FOLDER, tmp_path / gallery.FOLDER)
    assert main(["reference", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.glob("*.md")} == set(PAGES)
    for path in tmp_path.glob("*.md"):
        same = path.read_text() == (ROOT / "docs" / path.name).read_text()
        assert same, f"Run `make docs`: docs/{path.name} is old."  # pytest would take minutes for the difference


@pytest.mark.parametrize("name", SHOWN)
def test_every_key_says_what_it_is_for(name):
    silent = [f"{keys.place}.{key.name}" for keys in mappings(name) for key in keys.keys if not key.description]
    assert silent == []


def test_every_key_of_the_configuration_has_a_default_or_must_be_given_and_an_example():
    (first, *_) = mappings("config")
    assert len(first.keys) > 10
    assert [key.name for key in first.keys if not key.required and key.default is None] == []
    assert [key.name for key in first.keys if not key.examples] == []


def test_no_description_is_cut_at_a_comma():
    """``{description: a, b, type: string}`` is a description "a" and a key "b", of which no validator complains."""
    known = {*Draft202012Validator.VALIDATORS, *ANNOTATIONS}

    def keywords(schema):
        for word, value in schema.items():
            yield word
            if word in ("properties", "$defs"):
                for inner in value.values():
                    yield from keywords(inner)
            elif word in ("items", "additionalProperties", "propertyNames", "not", "if", "then"):
                yield from keywords(value) if isinstance(value, dict) else ()
            elif word in ("oneOf", "anyOf", "allOf"):
                for inner in value:
                    yield from keywords(inner)

    for path in (ROOT / "workflow/schemas").glob("*.yaml"):
        assert set(keywords(yaml.safe_load(path.read_text()))) <= known, path.name


def test_keys_are_shown_with_what_they_may_be():
    found = {keys.place: {key.name: key for key in keys.keys} for keys in mappings("config")}
    assert found[""]["protocol"].value == "`official` or `paper`"
    assert found[""]["protocol"].default == "official"
    assert found[""]["targets"].required
    assert found[""]["seeds"].value == "null or list of whole number from 0"
    assert found["data.<image set>"]["parts"].value == "part to whole number from 1"
    assert "budget" in found

    places = [keys.place for keys in mappings("paper")]
    assert len(places) == len(set(places))
    (columns,) = (
        key for keys in mappings("paper") for key in keys.keys if key.name == "columns" and "rows" in key.like
    )
    assert columns.like == "tables.<table>.rows"


def test_descriptions_mean_themselves_in_a_table(monkeypatch):
    described = {
        "properties": {"a": {"description": "a <b> | `c|d`", "type": "string"}, "e": {"enum": [1, None]}},
        "required": ["e"],
    }
    monkeypatch.setattr("longtail.reporting.reference.keys.schema", lambda _: documents._Validator(described))
    (keys,) = mappings("any")
    assert r"| `a` | text |  | A \<b\> \| `c\|d`. |" in section(keys)
    assert "| `e`<br>required | `1` or `null` |  |  |" in section(keys)


def test_every_dataset_has_one_line_with_what_must_lie_where():
    page = datasets.page(CATALOG)
    for name, dataset in CATALOG.datasets.items():
        (line,) = re.findall(rf"(?m)^\|[^|]*<br>`{name}` \|.*$", page)
        assert dataset.title in line.replace("\\", "")
        for option in datasets.BY_PART:
            for path in dataset.images["source"].get(option, {}).values():
                assert f"    {path}" in page
    (line,) = re.findall(r"(?m)^.*`cifar10-lt` .*$", page)
    assert "| 10, 50, 100 |" in line
    assert "ICCL Table 1" in line
    assert "<https://image-net.org>" in page


def test_every_table_and_figure_has_one_line():
    page = papers.page(CATALOG)
    for paper, spec in CATALOG.papers.items():
        for kind in ("tables", "figures"):
            for name in spec.get(kind, {}):
                assert page.count(f"\n| `{paper}_{name}` |") == 1
    (line,) = re.findall(r"(?m)^\| `conmix_table2` .*$", page)
    assert line.endswith("| 10 | `cifar10`, `cifar20`, `stl10` | 1 | 120 |")


def test_every_figure_of_the_gallery_is_shown_with_its_target():
    page = gallery.page(CATALOG, ROOT / "docs")
    pictures = sorted(path.stem for path in (ROOT / "docs" / gallery.FOLDER).iterdir())
    assert "digits-figure1" in pictures
    for picture in pictures:
        assert f"]({gallery.FOLDER}/{picture}.svg)" in page
        assert f"`snakemake --cores all {picture.replace('-', '_')}`" in page
