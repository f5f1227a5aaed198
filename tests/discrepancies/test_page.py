"""The page of discrepancies holds all that the catalogue knows: it cannot fall behind without a test that fails."""

from __future__ import annotations

import functools
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
import yaml

from longtail.discrepancies import page, points
from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study import phases
from longtail.study.study import load_study


@functools.cache
def study(protocol="official"):
    return load_study({"targets": ["digits"], "protocol": protocol})


@functools.cache
def derived():
    return points.derive(study())


@functools.cache
def texts():
    return page.render(study())


def final(place, protocol):
    catalog = study().catalog
    return phases.final_phase(
        catalog.method(place.method),
        json.loads(place.settings),
        study(protocol).backbone(catalog.dataset(place.dataset)),
        catalog.dataset(place.dataset),
        place.ratio,
        study(protocol).config,
        catalog,
    )


def test_every_setting_that_differs_between_the_protocols_is_explained_with_its_cells():
    explained = {
        (point.name, place.cell): point
        for point in derived()
        if point.kind == "difference" and point.carriers
        for place in point.places
    }
    catalog, apart = study().catalog, 0
    for place in points.places(study()):
        if place.own or not catalog.method(place.method).recipe:
            continue
        official, paper = (final(place, protocol) for protocol in ("official", "paper"))
        for one, other in zip(official.lineage, paper.lineage, strict=True):
            assert (one.first_epoch, one.last_epoch) == (other.first_epoch, other.last_epoch), "not yet on the page"
            left, right = json.loads(one.settings), json.loads(other.settings)
            for name in left.keys() | right.keys():
                if left.get(name) == right.get(name):
                    continue
                apart += 1
                entry = catalog.objectives[one.objective].settings[name]
                if points.acts(entry, left):
                    point = explained[name, place.cell]
                    assert point.why or (point.paper and point.official)
    assert apart > 100


def test_no_cell_is_said_to_differ_that_does_not():
    for point in derived():
        if point.kind == "difference" and point.carriers:
            for place in point.places:
                assert final(place, "official").identity != final(place, "paper").identity, (point.name, place)


@pytest.mark.parametrize("setting", ["batch_size", "learning_rate"])
def test_what_differs_on_some_datasets_only_is_told_of_these(setting):
    values = {"batch_size": ("256", "512"), "learning_rate": ("0.05", "0.1")}[setting]
    (point,) = (
        point
        for point in derived()
        if (point.kind, point.name) == ("difference", setting) and any("BYOL" in title for title in point.carriers)
    )
    assert point.here == {
        protocol: f"CIFAR-20: {value}; ImageNet-LT: {value}"
        for protocol, value in zip(("official", "paper"), values, strict=True)
    }
    assert {place.dataset for place in point.places} == {"cifar20", "cifar20-full", "imagenet_lt"}
    assert {place.method for place in point.places} == {"byol", "conr", "propos", "conmix-propos"}


def test_every_value_marked_chosen_is_on_the_page():
    listed = {
        (point.name, carrier, label, value)
        for point in derived()
        if point.kind == "unstated" and point.carriers
        for carrier in point.carriers
        for label, value in point.here.items()
    }
    catalog, chosen = study().catalog, 0

    def check(name, entry, carrier):
        nonlocal chosen
        if entry.get("origin") == "chosen" and "value" in entry:
            assert (name, carrier, "", points.shown(entry["value"])) in listed
            chosen += 1
        for key, value in entry.get("for", {}).items():
            if key in entry.get("for_chosen", ()) or ("for_where" not in entry and entry.get("origin") == "chosen"):
                assert (name, carrier, points.selector_label(catalog, key), points.shown(value)) in listed
                chosen += 1

    for objective in catalog.objectives.values():
        for name, entry in objective.settings.items():
            check(name, entry, points.objective_label(catalog, objective.name))
    for method in catalog.methods.values():
        for step in method.recipe:
            for name, entry in {"epochs": step["epochs"], **step.get("settings", {})}.items():
                check(name, entry, points.step_label(catalog, method.name, step["objective"]))
    assert chosen > 150


def test_what_the_catalogue_calls_chosen_in_words_is_marked_as_such():
    """Prose that says ``chosen`` beside a value which is not marked would be left out of the page."""
    catalog = study().catalog
    entries = [(o.name, name, entry) for o in catalog.objectives.values() for name, entry in o.settings.items()]
    for method in catalog.methods.values():
        for step in method.recipe:
            entries += [
                (method.name, name, entry)
                for name, entry in {"epochs": step["epochs"], **step.get("settings", {})}.items()
            ]
    for owner, name, entry in entries:
        said = "chosen" in entry.get("for_where", "").replace("the chosen batch", "")
        assert said == ("for_chosen" in entry), f"{owner}: {name} says `chosen` and lacks for_chosen, or the reverse"
        assert "chosen" not in entry["where"] or entry.get("origin") == "chosen", f"{owner}: {name}"


def commented_entries():
    """Names of the entries of datasets and of readouts beside whose values a comment says ``chosen``."""
    root = catalogue.CATALOG
    for path in [*sorted((root / "datasets").glob("*.yaml")), root / "readouts.yaml"]:
        entry = path.stem
        for line in path.read_text(encoding="utf-8").splitlines():
            if heading := re.match(r"  ([a-z0-9_-]+):\s*(#.*)?$", line):
                entry = heading[1]
            if re.search(r"\S.*#.*\bchosen\b", line):
                yield path.stem, entry


def test_what_comments_call_chosen_has_a_remark():
    catalog = study().catalog
    remarked = {name for remark in catalog.remarks for names in remark.subjects.values() for name in names}
    files: dict[str, set[str]] = {}
    for dataset in catalog.datasets.values():
        files.setdefault(dataset.images["name"], set()).add(dataset.name)
    found = list(commented_entries())
    assert found
    for file, entry in found:
        assert {entry, *files.get(file, ())} & remarked, f"{file}: {entry} says `chosen` in a comment; remark it"


def remarked(point):
    """The methods that a remark of this name touches where STL-10 is shown."""
    catalog = study().catalog
    return {
        method
        for remark in catalog.remarks
        if remark.point == point and "stl10" in remark.subjects["datasets"]
        for method in remark.subjects["methods"]
    }


def test_what_official_codes_do_otherwise_on_stl10_is_remarked():
    """As the codes load it and build their networks; the other codes have no STL-10, or do as is done here."""
    assert remarked("STL-10's unlabelled images") == {"cc", "scan", "secu", "lfss"}
    assert remarked("Stem on STL-10") == {"dmicc", "scan", "secu"}


def test_every_list_of_transforms_of_photographs_is_remarked_as_unrounded():
    """Crops that are moved and not resized have nothing to round; what follows them in a list rounds."""
    catalog = study().catalog
    (names,) = (r.subjects["augmentations"] for r in catalog.remarks if r.point == "Rounding between transforms")
    rounded = {name for name, spec in catalog.augmentations.items() if {"operations", "pad"} & set(spec)}
    assert set(names) == set(catalog.augmentations) - rounded - {"unaugmented", "digits", "synonyms"}


def test_the_page_says_what_schedules_stand_for():
    markdown, html = texts()["md"], texts()["html"]
    for name, entry in study().catalog.schedules.items():
        (line,) = (line for line in markdown.splitlines() if line.startswith(f"| `{name}` |"))
        assert set(entry) <= set(re.findall(r"[a-z]+", line))
        assert f"<td><code>{name}</code></td>" in html
    assert "milestones" in markdown


def test_remarks_on_tables_are_on_tables_that_exist():
    """Of a paper that is not in the catalogue anything may be said when it is loaded."""
    specs = study().catalog.papers
    known = {f"{paper}_{name}" for paper, spec in specs.items() for name in [*spec["tables"], *spec.get("figures", {})]}
    named = {name for remark in study().catalog.remarks for name in remark.subjects.get("artefacts", ())}
    assert named
    assert named <= known


def test_every_point_stands_on_both_pages():
    for point in derived():
        if point.own or point.kind == "read":
            continue
        for text in (texts()["md"], texts()["html"]):
            plain = text.replace("\\", "").replace("&#39;", "'").replace("&#34;", '"')
            assert point.heading in plain, point.heading


class Reader(HTMLParser):
    """Collects anchors and links, and holds that elements are closed in the order they were opened."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.anchors, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        assert tag not in {"script", "img", "link", "iframe"}, "the page must open without a network"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_page_is_whole_and_opens_offline():
    reader = Reader()
    reader.feed(texts()["html"])
    assert not reader.open
    assert len(set(reader.anchors)) == len(reader.anchors)
    inner = [link[1:] for link in reader.links if link.startswith("#")]
    assert set(inner) <= set(reader.anchors)
    assert all(
        link.startswith(("#", "https://github.com/", "https://openreview.net/", "https://arxiv.org/"))
        for link in reader.links
    )
    assert "@import" not in texts()["html"]
    assert "url(" not in texts()["html"]


def test_links_of_the_markdown_page_lead_somewhere():
    text = texts()["md"]
    anchors = re.findall(r'<a id="([^"]+)"></a>', text)
    assert len(set(anchors)) == len(anchors)
    linked = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(linked) > 20
    assert set(linked) <= set(anchors)
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("| | |"):
            assert line.endswith("|"), line


def test_both_pages_are_in_step():
    headings = [re.sub(r"\W+", "", one) for one in re.findall(r"^#{4,5} (.+)$", texts()["md"], re.M)]
    articles = texts()["html"].count("<article")
    groups = texts()["html"].count("<h4")
    assert len(headings) == articles + groups


def test_a_page_does_not_depend_on_the_configuration():
    other = load_study({"targets": ["conmix_table4"], "budget": "smoke", "protocol": "paper", "seeds": [5]})
    assert page.render(other) == texts()


def test_cells_are_named_by_table_row_and_column():
    (point,) = [p for p in derived() if p.name == "cb_gamma"]
    cells = page.Cells(study(), [p for p in points.places(study()) if not p.own])
    touched = cells.touched(point.places)
    assert touched.count == 2
    assert touched.summary == "MiniClustering Table 5"
    assert touched.details == (("MiniClustering Table 5", "CB Softmax on CIFAR-10 and STL-10 at ratio 10"),)


def test_a_setting_without_effect_touches_nothing():
    by_name = {point.name: point for point in derived() if point.kind == "difference" and point.carriers}
    rows = {place.row for place in by_name["similarity"].places}
    assert "MiniClustering w/o L_m" in rows
    assert "MiniClustering w/o L_s" not in rows
    assert {p.method for p in by_name["reweighting"].places}.isdisjoint({"miniclustering-eql", "self-labelling"})


def test_what_people_read_off_the_codes_is_there():
    text = texts()["html"]
    for fact in (
        "copies the target into its snapshot before it measures",
        "at half the rate, 0.025",
        "four devices",
        "at least 0.001 away from 0",
        "epoch with the lowest SCAN loss",
        "once per epoch by the weights of that",
        "is a reading",
    ):
        assert fact in re.sub(r"\s+", " ", text), fact


@pytest.mark.parametrize(
    ("remark", "message"),
    [
        ({"kind": "difference", "point": "Batch", "here": "128"}, "remarks|paper|valid"),
        ({"kind": "rumour", "point": "Batch", "here": "128"}, "rumour|valid"),
        (
            {"kind": "unstated", "point": "Batch", "here": "128", "methods": ["simclear"]},
            "'simclear'. Did you mean 'simclr'",
        ),
        ({"kind": "unstated", "point": "Batch", "here": "128", "artefacts": ["conmix_table99"]}, "no artefact"),
    ],
)
def test_a_wrong_remark_is_an_error(tmp_path, remark, message):
    root = tmp_path / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    (root / "remarks.yaml").write_text(yaml.safe_dump({"data": [remark]}))
    with pytest.raises(LongtailError, match=message):
        catalogue.load(root)


def test_a_new_difference_without_words_of_its_own_is_told_by_its_where(tmp_path):
    root = tmp_path / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    path = root / "methods" / "simclr.yaml"
    document = yaml.safe_load(path.read_text())
    document["objectives"]["simclr"]["settings"] = {
        "temperature": {"official": 0.25, "paper": 0.2, "where": "a difference that nobody has worded yet"}
    }
    path.write_text(yaml.safe_dump(document))
    written = page.render(load_study({"targets": ["digits"]}, root))
    assert "A difference that nobody has worded yet." in written["md"]
    assert "`temperature` of SimCLR" in written["md"]
