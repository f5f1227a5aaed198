"""What a reader sees: places, marks, notes, and text that cannot break its format."""

from __future__ import annotations

import html
import html.parser
import io
import math
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail import files
from longtail.errors import LongtailError
from longtail.reporting import formats
from longtail.reporting.table import RenderedTable, render_table

from .makers import cell, entry, lines, metrics, plan

LABEL = "budget smoke (toy length: 0.005 of the epochs)"


def rendered(label: str = LABEL) -> RenderedTable:
    """Two datasets, two metrics; ConMix and SimCLR are computed with one seed of two trials, CC is not."""
    entries, data = [], []
    values = {
        ("simclr", "cifar10"): 39.0,
        ("simclr", "stl10"): 27.0,
        ("conmix", "cifar10"): 52.1,
        ("conmix", "stl10"): 26.0,
    }
    for row, method in (("SimCLR", "simclr"), ("CC", "cc"), ("ConMix", "conmix")):
        for dataset, title in (("cifar10", "CIFAR-10"), ("stl10", "STL-10")):
            for metric in ("ACC", "NMI"):
                each = entry(
                    row,
                    metric,
                    dataset=title,
                    cell=cell(method, dataset),
                    published="00.0" if row == "CC" else "53.3",
                    missing="CC is not implemented yet" if row == "CC" else None,
                )
                entries.append(each)
                if row != "CC":
                    value = values[method, dataset]
                    data.append(lines(each.cell, metric, [[value - 0.5, value + 0.5]]))
    return render_table(plan(*entries, label=label, footnotes=("CIFAR-10 images: the archive.",)), metrics(*data))


def markdown_rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table, read with the rule that a bar separates unless it is escaped."""
    found = []
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|:- "):
            found.append([part.strip().replace(r"\|", "|") for part in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


class Tables(html.parser.HTMLParser):
    """The rows of the table of a page, its text, and a check that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attrs} & {"src", "href"}, "the page must not need anything else"
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if "style" not in self.open:
            self.text += data


def test_markdown_shows_published_beside_computed() -> None:
    header, *body = markdown_rows(formats.markdown(rendered().document))
    assert header == ["Method", "CIFAR-10 ACC", "CIFAR-10 NMI", "STL-10 ACC", "STL-10 NMI"]
    assert body == [
        ["SimCLR", "53.3 | 39.0 (0.7)", "53.3 | 39.0 (0.7)", "53.3 | **27.0** (0.7)", "53.3 | **27.0** (0.7)"],
        ["CC", *["00.0 | —<sup>1</sup>"] * 4],
        ["ConMix", "53.3 | **52.1** (0.7)", "53.3 | **52.1** (0.7)", "53.3 | 26.0 (0.7)", "53.3 | 26.0 (0.7)"],
    ]


def test_html_shows_the_same_and_is_well_formed() -> None:
    page = Tables(formats.html(rendered().document))
    upper, header, *body = page.rows
    assert upper == ["", "CIFAR-10", "STL-10"]
    assert header == ["Method", "ACC", "NMI", "ACC", "NMI"]
    assert body == [
        ["SimCLR", *["53.3|39.0 (0.7)"] * 2, *["53.3|27.0 (0.7)"] * 2],
        ["CC", *["00.0|—1"] * 4],
        ["ConMix", *["53.3|52.1 (0.7)"] * 2, *["53.3|26.0 (0.7)"] * 2],
    ]
    assert "<b>52.1</b>" in formats.html(rendered().document)
    assert "<b>39.0</b>" not in formats.html(rendered().document)


def test_latex_shows_the_same_and_is_balanced() -> None:
    text = formats.latex(rendered().document)
    assert r"    CC & 00.0 $\mid$ ---\textsuperscript{1} & 00.0" in text
    assert r"    ConMix & 53.3 $\mid$ \textbf{52.1}\,(0.7) & 53.3" in text
    assert r" & \multicolumn{2}{c}{CIFAR-10} & \multicolumn{2}{c}{STL-10} \\" in text
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text
    assert text.count("{") == text.count("}")
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "minipage"]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "minipage", "table"]
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {4}


def test_notes_say_what_the_numbers_are() -> None:
    grid = rendered().document.grid
    assert grid.subtitle == "Imbalance ratio 10"
    assert grid.marks == ["CC is not implemented yet"]
    assert grid.notes == [
        "Each cell shows published | computed.",
        "Unit: percent.",
        "8 of 12 values are computed.",
        "None of them is called reproduced: none was trained as printed, as long as in the paper, on its data and with "
        "all of the table's seeds.",
        "Values of a single training seed say nothing about the spread between trainings; in parentheses the standard "
        "deviation over its clustering trials (at most 2).",
        "Bold: best computed value of its column within its group of rows; what is not computed does not compete.",
        "CIFAR-10 images: the archive.",
    ]


def test_notes_say_how_many_values_are_reproduced_and_what_that_takes() -> None:
    near, far, single = entry("A", published="50.0"), entry("B", published="60.0"), entry("C", published="50.0")
    spread = entry("D", published="50.0", published_std=1.0)
    for each in (near, far, spread):
        each.as_printed = True
    data = metrics(*(lines(each.cell, "ACC", [[50.0], [51.0]]) for each in (near, far, single, spread)))
    table = render_table(plan(near, far, single, spread, seeds=(0, 1)), data)
    notes = table.document.grid.notes
    assert "4 of 4 values are computed." in notes
    assert (
        "3 of them were trained as printed, as long as in the paper, on its data and with all of the table's seeds: "
        "2 are reproduced, 1 differ. Reproduced means at most 2.5 (ACC) or what the 95% Welch interval of both "
        "standard deviations allows away from the published value, its rounding apart."
    ) in notes
    assert list(table.frame["status"]) == ["reproduced", "differs", "computed", "reproduced"]
    assert table.document.grid.marks == ["trained as printed, yet further from the published value than the tolerance"]
    page = formats.html(table.document)
    for status in ("reproduced", "differs", "computed"):
        assert f'<span class="{status}" title="{status}">' in page


def test_what_nobody_printed_is_computed_and_not_reproduced() -> None:
    entries = [entry(row) for row in ("A", "B")]
    data = metrics(*(lines(each.cell, "ACC", [[50.0], [51.0]]) for each in entries))
    notes = " ".join(render_table(plan(*entries, seeds=(0, 1)), data).document.grid.notes)
    assert "2 of 2 values are computed." in notes
    assert "Computed values are means over 2 training seeds" in notes
    assert "reproduced" not in notes


def test_the_label_is_in_every_format_and_only_when_there_is_one(tmp_path: Path) -> None:
    rendered().write(tmp_path, "with")
    rendered("").write(tmp_path, "without")
    for suffix in ("csv", "md", "html"):
        assert LABEL in (tmp_path / f"with.{suffix}").read_text(encoding="utf-8")
        assert "budget" not in (tmp_path / f"without.{suffix}").read_text(encoding="utf-8")
    assert formats.escape_latex(LABEL) in (tmp_path / "with.tex").read_text(encoding="utf-8")
    assert "budget" not in (tmp_path / "without.tex").read_text(encoding="utf-8")
    assert set(pq.read_table(tmp_path / "with.parquet")["label"].to_pylist()) == {LABEL}
    assert files.read_provenance(tmp_path / "with.parquet")["label"] == LABEL


def test_several_seeds_are_shown_with_their_spread() -> None:
    each = entry("MiniClustering", published="65.1", published_std=0.4)
    table = render_table(plan(each, seeds=(0, 1, 2)), metrics(lines(each.cell, "ACC", [[64.0], [65.0], [66.0]])))
    assert markdown_rows(formats.markdown(table.document))[1] == ["MiniClustering", "65.1 ± 0.4 | 65.0 ± 1.0"]
    assert any("3 training seeds ± their standard deviation (n − 1)" in note for note in table.document.grid.notes)


def test_too_few_seeds_are_marked() -> None:
    each = entry("ConMix", published="52.2")
    table = render_table(plan(each, seeds=(0, 1, 2, 3, 4)), metrics(lines(each.cell, "ACC", [[51.0], [53.0]])))
    assert markdown_rows(formats.markdown(table.document))[1] == ["ConMix", "52.2 | 52.0 ± 1.4<sup>1</sup>"]
    assert table.document.grid.marks == ["2 of 5 training seeds"]
    assert any("means over up to 5 training seeds" in note for note in table.document.grid.notes)


def test_a_study_of_our_own_shows_computed_numbers_only() -> None:
    there, absent = entry("SimCLR"), entry("MoCo", missing="method not selected")
    table = render_table(plan(there, absent), metrics(lines(there.cell, "ACC", [[50.0]])))
    assert markdown_rows(formats.markdown(table.document))[1:] == [["SimCLR", "50.0"], ["MoCo", "—<sup>1</sup>"]]
    assert not any("published" in note.lower() for note in table.document.grid.notes)


def test_a_number_that_is_not_printed_is_called_so() -> None:
    first, second = entry("SimCLR", published="39.4"), entry("Extra")
    table = render_table(plan(first, second), metrics(lines(second.cell, "ACC", [[50.0]])))
    assert markdown_rows(formats.markdown(table.document))[2] == ["Extra", "not printed | 50.0"]


@pytest.mark.parametrize("empty", [pd.DataFrame(), metrics()])
def test_a_table_without_any_result_still_renders(empty: pd.DataFrame, tmp_path: Path) -> None:
    table = render_table(plan(entry("CC", published="40.6", missing="CC is not implemented yet")), empty)
    table.write(tmp_path, "table")
    assert markdown_rows((tmp_path / "table.md").read_text(encoding="utf-8"))[1] == ["CC", "40.6 | —<sup>1</sup>"]
    assert (
        "Nothing in this table is computed yet: every number shown is the published one." in table.document.grid.notes
    )
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".html", ".md", ".parquet", ".tex"]


def test_a_table_without_any_place_still_renders(tmp_path: Path) -> None:
    render_table(plan(), pd.DataFrame()).write(tmp_path, "table")
    assert pq.read_table(tmp_path / "table.parquet").num_rows == 0
    Tables((tmp_path / "table.html").read_text(encoding="utf-8"))


def test_groups_are_rows_unless_the_layout_makes_them_columns() -> None:
    def table(columns: list[str]) -> RenderedTable:
        entries = [
            entry(row, group=group, cell=cell(f"{group}-{row}".lower()))
            for row in ("Baseline", "Ours")
            for group in ("BYOL", "SimCLR")
        ]
        return render_table(plan(*entries, layout={"columns": columns}), pd.DataFrame())

    as_rows = [row[:2] for row in markdown_rows(formats.markdown(table(["dataset"]).document))]
    assert as_rows == [["Group", "Method"], ["BYOL", "Baseline"], ["", "Ours"], ["SimCLR", "Baseline"], ["", "Ours"]]
    as_columns = [row[:3] for row in markdown_rows(formats.markdown(table(["dataset", "group"]).document))]
    assert as_columns[0] == ["Method", "BYOL ACC", "SimCLR ACC"]
    assert [row[0] for row in as_columns[1:]] == ["Baseline", "Ours"]


def test_two_numbers_in_one_place_are_an_error() -> None:
    twice = plan(entry("ConMix", ratio=5), entry("ConMix", ratio=10), layout={"columns": ["dataset"]})
    with pytest.raises(LongtailError, match="two numbers fall in row 'ConMix', column 'CIFAR-10 / ACC'"):
        render_table(twice, pd.DataFrame())


def test_an_unknown_layout_level_is_an_error() -> None:
    with pytest.raises(LongtailError, match="not by backbone"):
        render_table(plan(entry("ConMix"), layout={"columns": ["backbone"]}), pd.DataFrame())


def test_a_place_the_table_does_not_have_stays_blank() -> None:
    table = render_table(
        plan(entry("A"), entry("B", dataset="STL-10"), layout={"columns": ["dataset"]}),
        pd.DataFrame(),
    )
    assert markdown_rows(formats.markdown(table.document))[1] == ["A", "—<sup>1</sup>", ""]


def test_a_shot_group_without_classes_prints_a_dash(tmp_path: Path) -> None:
    groups = ("many", "medium", "few")
    of = cell("ce", readout="classifier", scorer="classification")
    entries = [entry("CE", group, measured=f"{group} (strict)", cell=of) for group in groups]
    data = [lines(of, f"{group} (strict)", [[value]]) for group, value in (("many", 80.0), ("medium", 50.0))]
    table = render_table(plan(*entries), metrics(*data, lines(of, "few (index)", [[40.0]])))
    assert markdown_rows(formats.markdown(table.document))[-1] == ["CE", "80.0", "50.0", "—<sup>1</sup>"]


def bold(entries: list[SimpleNamespace], values: dict[str, float], **changes: object) -> list[str]:
    data = metrics(*(lines(each.cell, "ACC", [[values[each.row]]]) for each in entries if each.row in values))
    grid = render_table(plan(*entries, **changes), data).document.grid
    return [row for _, row, cells in grid.rows if cells[0] is not None and cells[0].best]


def test_bold_is_for_the_best_computed_value() -> None:
    rows = [entry("A", published="1.0"), entry("B", published="2.0"), entry("C", published="99.0", missing="no")]
    assert bold(rows, {"A": 50.0, "B": 60.0}) == ["B"]
    assert bold(rows, {"A": 50.0, "B": 60.0}, higher_is_better={"ACC": False}) == ["A"]
    assert bold(rows, {"A": 50.0, "B": 60.0}, higher_is_better={"ACC": None}) == []
    assert bold(rows, {"A": 60.01, "B": 60.0}) == ["A", "B"], "equal as printed is equal"
    assert bold(rows, {"A": 50.0}) == [], "one value is no comparison"


def test_controls_do_not_compete() -> None:
    rows = [entry("SimCLR", group="Methods"), entry("MoCo", group="Methods")]
    rows += [entry("True labels", group="Controls"), entry("Random labels", group="Controls")]
    values = {"SimCLR": 50.0, "MoCo": 40.0, "True labels": 100.0, "Random labels": 10.0}
    assert bold(rows, values) == ["SimCLR"]


def test_significance_is_starred_and_explained() -> None:
    weak, ours = entry("SeCu", published="53.1"), entry("Ours", published="65.1", cell=cell("miniclustering"))
    test = {"against": "miniclustering", "level": 0.95}
    data = metrics(
        lines(weak.cell, "ACC", [[53.0], [53.5], [52.5]]),
        lines(ours.cell, "ACC", [[65.0], [65.5], [64.5]]),
    )
    table = render_table(plan(weak, ours, seeds=(0, 1, 2), significance=test), data)
    assert markdown_rows(formats.markdown(table.document))[1:] == [
        ["SeCu", r"53.1 | 53.0\* ± 0.5"],
        ["Ours", "65.1 | **65.0** ± 0.5"],
    ]
    assert any(
        note.startswith("*: differs significantly from Ours (two-sided Welch t-test")
        and "1 differences tested, 1" in note
        for note in table.document.grid.notes
    )
    nothing = render_table(plan(weak, ours, seeds=(0, 1, 2), significance=test), pd.DataFrame())
    assert any(note.startswith("No significance is tested") for note in nothing.document.grid.notes)


def test_remarks_on_printed_numbers_name_their_places() -> None:
    entries = [
        entry("ConMix", "ACC", published="1.0", note="bold"),
        entry("ConMix", "NMI", published="2.0", note="bold; printed otherwise in Table 8"),
        entry("CC", "ACC", published="3.0", note="cited"),
        entry("CC", "NMI", published="4.0", note="cited"),
    ]
    notes = render_table(plan(*entries), pd.DataFrame()).document.grid.notes
    assert [note for note in notes if note.startswith("On the published")] == [
        "On the published values of ConMix (NMI): printed otherwise in Table 8.",
        "On the published values of CC: cited.",
    ]


def test_csv_and_parquet_hold_the_same_tidy_numbers(tmp_path: Path) -> None:
    table = rendered()
    table.write(tmp_path, "table")
    parquet = pq.read_table(tmp_path / "table.parquet").to_pandas()
    pd.testing.assert_frame_equal(parquet, table.frame, check_dtype=False)
    text = pd.read_csv(tmp_path / "table.csv", keep_default_na=False, na_values={"computed": [""]})
    assert list(text.columns) == list(table.frame.columns)
    line = text[(text["row"] == "ConMix") & (text["dataset"] == "CIFAR-10") & (text["metric"] == "ACC")].iloc[0]
    assert (line["published"], line["computed"], line["status"]) == (53.3, 52.1, "computed")
    assert float(line["difference"]) == pytest.approx(-1.2)
    assert float(line["trial_std"]) == pytest.approx(math.sqrt(0.5))


NEGATIVE_ZERO = re.compile(r"[-−]0(\.0*)?(?![\d.])")


@pytest.mark.parametrize("text", ["-0.0 ± 0.0", "−0.00", "(-0)", "-0.", "-0"])
def test_a_negative_zero_is_known_when_seen(text: str) -> None:
    assert NEGATIVE_ZERO.search(text)
    assert not NEGATIVE_ZERO.search("-0.01 ± 0.0, -10.0, -0.5, 1e-05")


@given(st.lists(st.floats(-0.06, 0.06), min_size=1, max_size=3), st.integers(0, 3), st.sampled_from([None, -0.0, 0.01]))
def test_no_format_of_a_table_has_a_negative_zero(values: list[float], decimals: int, printed: float | None) -> None:
    one = entry("Random labels", "ARI", decimals=decimals, published=printed)
    data = metrics(lines(one.cell, "ARI", [[value] for value in values]))
    table = render_table(plan(one, seeds=tuple(range(len(values)))), data)
    assert table.frame["status"].tolist() == ["computed"]
    with tempfile.TemporaryDirectory() as folder:
        table.write(Path(folder), "table")
        for suffix in ("csv", "md", "tex", "html"):
            assert not NEGATIVE_ZERO.search(Path(folder, f"table.{suffix}").read_text())


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        rendered().write(tmp_path / name, "table")
    for suffix in ("csv", "md", "tex", "html"):
        first, second = ((tmp_path / name / f"table.{suffix}").read_bytes() for name in ("first", "second"))
        assert first == second
    assert pq.read_table(tmp_path / "first" / "table.parquet").equals(
        pq.read_table(tmp_path / "second" / "table.parquet")
    )


def test_a_failure_leaves_the_old_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered("").write(tmp_path, "table")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.pq.ParquetWriter, "write_table", full)
    with pytest.raises(LongtailError, match="No space left on device"):
        rendered().write(tmp_path, "table")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


UNESCAPED = [
    (r"\textbackslash{}", "\\"), (r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"), (r"\textless{}", "<"),
    (r"\textgreater{}", ">"), (r"\textbar{}", "|"), (r"\{", "{"), (r"\}", "}"), (r"\$", "$"), (r"\&", "&"),
    (r"\%", "%"), (r"\#", "#"), (r"\_", "_"), ("{[}", "["), ("{]}", "]"), ("{*}", "*"),
]  # fmt: skip


def read_latex(text: str) -> str:
    """The plain text that escaped LaTeX stands for; fails on a character that LaTeX would act upon."""
    plain = io.StringIO()
    while text:
        for command, character in UNESCAPED:
            if text.startswith(command):
                plain.write(character)
                text = text[len(command) :]
                break
        else:
            assert text[0] not in "\\{}$&%#_~^[]*"
            plain.write(text[0])
            text = text[1:]
    return plain.getvalue()


@given(text=st.text(st.characters(codec="ascii")))
def test_latex_escaping_can_be_read_back(text: str) -> None:
    assert read_latex(formats.escape_latex(text)) == " ".join(text.split())


def test_latex_knows_the_signs_of_the_papers() -> None:
    assert formats.escape_latex("w/o threshold τ — L_r ± 0.5") == r"w/o threshold $\tau$ --- L\_r $\pm$ 0.5"


@given(text=st.text())
def test_html_escaping_can_be_read_back(text: str) -> None:
    escaped = formats.escape_html(text)
    assert html.unescape(escaped) == html.unescape(html.escape(text, quote=True))
    assert not set(escaped) & set("<>\"'")


@given(text=st.text(st.characters(codec="ascii", exclude_characters="\r\n")))
def test_markdown_escaping_keeps_a_cell_a_cell(text: str) -> None:
    escaped = formats.escape_markdown(text)
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(text.split())
    assert not re.search(r"(?<!\\)(?:\\\\)*[|*_`<]", escaped)


def test_hostile_names_stay_text() -> None:
    name = '<script>alert("1")</script> & 100% {of} $it$ | a_b'
    table = render_table(
        plan(entry(name, dataset=name, published="1.0", note=name, missing=name), label=name), pd.DataFrame()
    )
    page = Tables(formats.html(table.document))
    assert page.rows[-1][0] == name
    assert "<script>" not in formats.html(table.document)
    assert markdown_rows(formats.markdown(table.document))[1][0] == re.sub(r"([*_`<>\[\]])", r"\\\1", name)
    assert "<script>" not in formats.latex(table.document)
    assert r"100\% \{of\} \$it\$" in formats.latex(table.document)
