"""The page in a real browser: what it shows, sorts, filters, draws and opens; it asks nothing of the network."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from longtail.results_page.page import Page
from longtail.results_page.render import render
from longtail.study.study import load_study
from tests.records.makers import SHIPPED

from .conftest import Opened
from .makers import clustering, errors, page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLUSTERING, ERRORS = "#conmix-table1", "#other-table3"
_, BLOCK = page([clustering(), errors()])
PLACES = BLOCK["places"]


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; whatever a test did with it, it fetched nothing and complained of nothing."""
    all_opened: list[Opened] = []

    def function(fragment: str = "", **context: Any) -> Page:
        all_opened.append(Opened(browser, address + fragment, **context))
        return all_opened[-1].page

    yield function
    for one in all_opened:
        assert one.complaints == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        one.context.close()


def methods(page: Page, table: str) -> list[str]:
    """Names of the rows that are shown, from above."""
    return page.locator(f"{table} tbody tr:visible th.row").all_inner_texts()


def shown(cell: Any) -> str:
    """What a cell shows, in one line."""
    return " ".join(cell.inner_text().replace("|", " | ").split())


def heading(page: Page, table: str, text: str) -> Any:
    return page.locator(f"{table} thead tr:last-child th").filter(has_text=text).first


def test_it_opens_with_every_value_in_its_place(opened):
    page = opened()
    assert page.title() == "Results"
    assert page.locator("section.table td[data-i]").count() == len(PLACES["table"])
    assert page.locator("[role=note]").first.inner_text() == "budget smoke"
    for i in range(len(PLACES["table"])):
        text = page.locator(f"section.table td[data-i='{i}']").inner_text()
        for side in ("published", "computed"):
            if PLACES[side][i] is not None:
                assert f"{PLACES[side][i]:.1f}" in text


def test_all_papers_of_the_catalogue_open_in_one_page(browser, tmp_path, monkeypatch):
    """With what records say of them, as nothing is trained in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/records").symlink_to(SHIPPED.resolve())
    papers = ["conmix", "gloco", "iccl", "miniclustering", "rescom"]
    written = Page(load_study({"targets": papers}), tmp_path / "index.html")
    assert written.write(None)
    assert written.path.stat().st_size < 10e6
    one = Opened(browser, written.path.as_uri())
    shown = one.page.locator("section.table td[data-i]").evaluate_all("all => all.map((one) => Number(one.dataset.i))")
    assert sorted(shown) == [*range(one.page.evaluate("JSON.parse(data.textContent).places.table.length"))]
    assert len(shown) > 1500
    for part in ("#scatter svg .point", "#curves path.curve", "#values tbody tr"):
        one.page.locator(part.partition(" ")[0]).scroll_into_view_if_needed()
        one.page.locator(part).first.wait_for()
    recorded = one.page.locator("section.table .recorded").first
    recorded.click()
    assert "recorded" in one.page.locator("#drawer .state").all_inner_texts()
    assert one.complaints == []


def test_a_column_sorts_best_first_then_the_other_way_then_as_printed(opened):
    page = opened()
    printed = methods(page, CLUSTERING)
    header = heading(page, CLUSTERING, "ACC")
    orders = []
    for _ in range(3):
        header.get_by_role("button").click()
        orders.append((header.get_attribute("aria-sort"), methods(page, CLUSTERING)))
    assert orders == [
        ("descending", ["SimCLR", "ConMix", "CC"]),  # 54.0, 7.5 and nothing, which is no text and comes last
        ("ascending", ["ConMix", "SimCLR", "CC"]),
        ("none", printed),
    ]


def test_the_least_is_first_where_less_is_better_and_rows_keep_their_groups(opened):
    page = opened()
    header = heading(page, ERRORS, "error")
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert methods(page, ERRORS) == ["LADE", "Extra", "Focal", "CE"]
    groups = page.locator(f"{ERRORS} tbody th.group span")
    assert groups.all_inner_texts() == ["Ours", "Ours", "Theirs", "Theirs"]
    assert all(groups.nth(index).bounding_box()["width"] > 10 for index in range(4)), "every row says its group"


def test_it_sorts_by_what_was_printed_and_by_the_difference(opened):
    page = opened()
    page.locator("#choose").click()
    page.select_option("[name=by]", "published")
    heading(page, CLUSTERING, "ACC").get_by_role("button").click()
    assert methods(page, CLUSTERING) == ["SimCLR", "CC", "ConMix"]
    page.select_option("[name=by]", "difference")
    assert methods(page, CLUSTERING) == ["SimCLR", "ConMix", "CC"]


def test_filters_leave_what_they_say(opened):
    page = opened()
    page.fill("[name=q]", "another lade")
    assert (page.locator(CLUSTERING).is_visible(), methods(page, ERRORS)) == (False, ["LADE"])
    page.locator("#choose").click()
    page.locator("#controls [type=reset]").click()
    for name, choice, left in [
        ("paper", "other", ["CE", "Focal", "LADE", "Extra"]),
        ("method", "CE", ["CE"]),
        ("status", "running", ["CC"]),
        ("values", "without", ["CC"]),
        ("dataset", "STL-10", ["SimCLR", "CC", "ConMix"]),
    ]:
        page.select_option(f"[name={name}]", choice)
        assert methods(page, "section.table") == left
        if name != "dataset":
            page.select_option(f"[name={name}]", "")
    assert page.locator(f"{CLUSTERING} thead tr:first-child th:visible").all_inner_texts() == ["", "STL-10"]
    page.fill("[name=q]", "nothing has this name")
    page.locator("#nothing button").click()
    assert len(methods(page, "section.table")) == 7


def test_metrics_and_parts_of_cells_are_chosen(opened):
    page = opened()
    page.locator("#choose").click()
    page.locator("#metrics [value=NMI]").uncheck()
    assert page.locator(f"{CLUSTERING} thead tr:last-child th:visible").all_inner_texts() == ["Method", "ACC", "ACC"]
    assert page.locator(f"{CLUSTERING} thead tr:first-child th:visible").nth(1).get_attribute("colspan") == "1"
    cell = page.locator(f"{CLUSTERING} td[data-i='0']")
    assert shown(cell) == "50.0 | 49.0 ± 0.5 −1.0 | 54.0 ± 0.7 +4.0"
    page.locator("#parts [value=seeds]").check()
    assert shown(cell) == "50.0 | 49.0 ± 0.5 (n=3) −1.0 | 54.0 ± 0.7 +4.0"
    for part in ("seeds", "spread", "recorded"):
        page.locator(f"#parts [value={part}]").uncheck()
    assert shown(cell) == "50.0 | 54.0 +4.0"
    page.locator("#parts [value=published]").uncheck()
    assert shown(cell) == "54.0 +4.0"


def test_colour_says_whether_it_is_better_and_the_sign_which_way(opened):
    page = opened()
    for row, classes, text in (
        ("CE", "tint worse1", "+3.0"),
        ("LADE", "tint better3", "−6.0"),
        ("Focal", None, "−1.0"),
    ):
        value = page.locator(f"{ERRORS} tbody tr").filter(has_text=row).locator(".computed-part > span:not(.bar)")
        assert value.get_attribute("class") == classes
        assert value.locator(".difference").inner_text() == text


def test_a_value_opens_with_all_that_is_known_of_it(opened):
    page = opened()
    cell = page.locator(f"{CLUSTERING} td[data-i='0']")
    cell.click()
    drawer = page.locator("#drawer")
    text = drawer.inner_text()
    for said in (
        "Conmix Table 1: SimCLR, CIFAR-10",
        "as printed",
        "49.0",
        "+4.0",
        "2 seeds",
        "seed 1",
        "Paper and code differ",
    ):
        assert said in text
    assert drawer.locator(".training").count() == 2
    drawer.get_by_text("Provenance").first.click()
    assert "some <CPU>" in drawer.inner_text()
    drawer.get_by_text("End of logs/train.log").first.click()
    assert "<b>epoch</b> 2" in drawer.locator("pre:visible").inner_text()
    drawer.get_by_text("simclr 0-20").click()
    assert "Section 4.1" in drawer.inner_text()
    assert drawer.locator("path.curve").count() == 2, "one curve per seed"
    page.keyboard.press("Escape")
    assert not drawer.is_visible()
    assert page.evaluate("document.activeElement.dataset.i") == "0", "the focus is where it was"
    page.wait_for_function("!location.hash.includes('cell=')")


def test_values_are_reached_and_opened_with_the_keyboard(opened):
    page = opened("#metrics=ACC")
    stops = page.locator("section.table td[tabindex='0']:visible")
    assert stops.count() == 2, "Tab leads to one value of each table"
    page.locator(f"{ERRORS} td[data-i='12']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert "Focal" in page.locator("#drawer-title").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.dataset.i") == "12"
    assert stops.count() == 2


def test_a_link_restores_the_view(opened):
    page = opened()
    page.locator("#choose").click()
    page.fill("[name=q]", "conmix")
    page.locator("#metrics [value=NMI]").uncheck()
    page.locator("#parts [value=recorded]").uncheck()
    heading(page, CLUSTERING, "ACC").get_by_role("button").click()
    page.locator(f"{CLUSTERING} td[data-i='8']").click()
    again = opened(page.evaluate("location.hash"))
    assert again.locator("#drawer-title").inner_text() == page.locator("#drawer-title").inner_text()
    again.keyboard.press("Escape")
    assert methods(again, CLUSTERING) == methods(page, CLUSTERING)
    assert again.locator("[name=q]").input_value() == "conmix"
    assert not again.locator(ERRORS).is_visible()
    assert (
        again.locator(f"{CLUSTERING} td[data-i='8']").inner_text()
        == page.locator(f"{CLUSTERING} td[data-i='8']").inner_text()
    )


def test_a_fragment_of_nonsense_is_no_harm(opened):
    page = opened(
        "#cell=nowhere.7&sort=conmix-table1~99~ascending&sort=other-table3~2~up&by=magic&metrics=none&paper=no"
    )
    assert not page.locator("#drawer").is_visible()
    heading(page, CLUSTERING, "ACC").get_by_role("button").click()
    assert methods(page, "section.table") == ["SimCLR", "ConMix", "CC", "CE", "Focal", "LADE", "Extra"]
    page = opened("#conmix-table1")
    assert page.locator(CLUSTERING).is_visible()


def test_a_paper_whose_tables_do_not_follow_each_other_keeps_all_its_headings(browser, tmp_path):
    (tmp_path / "index.html").write_text(
        render(*page([clustering(), errors(), clustering("table2")])), encoding="utf-8"
    )
    one = Opened(browser, (tmp_path / "index.html").as_uri() + "#paper=conmix")
    assert one.page.locator("h2.paper:visible").all_inner_texts() == ["A paper", "A paper"]
    assert one.page.locator("section.table:visible h3").all_inner_texts() == [
        "Table 1: clustering #",
        "Table 2: clustering #",
    ]
    assert one.complaints == []


def test_a_page_of_nothing_opens(browser, tmp_path):
    content, block = page([])
    content.figures = []
    (tmp_path / "index.html").write_text(render(content, block), encoding="utf-8")
    one = Opened(browser, (tmp_path / "index.html").as_uri())
    one.page.locator("#curves").scroll_into_view_if_needed()
    one.page.get_by_text("No training has written its losses yet.").wait_for()
    assert one.page.get_by_text("No table was asked for.").is_visible()
    assert one.complaints == []


def test_charts_have_a_mark_for_every_value(opened):
    page = opened()
    page.locator("#scatter").scroll_into_view_if_needed()
    pairs = [
        side
        for side in ("recorded", "computed")
        for i, value in enumerate(PLACES[side])
        if value is not None and PLACES["published"][i] is not None
    ]
    page.locator("#scatter svg .point").first.wait_for()
    assert page.locator("#scatter .panel .point").count() == len(pairs)
    assert page.locator("#scatter .diagonal").count() == 2
    page.locator("#curves").scroll_into_view_if_needed()
    page.locator("#curves path").first.wait_for()
    assert page.locator("#curves path").count() == len(BLOCK["curves"])
    running = [curve for curve in BLOCK["curves"] if curve["state"] == "running"]
    assert page.locator("#curves path.unfinished").count() == len(running) > 0
    before = page.locator("#curves path").last.get_attribute("d")
    page.locator("#log").check()
    assert page.locator("#curves path").last.get_attribute("d") != before
    assert "log=1" in page.evaluate("location.hash")


def test_a_point_says_what_it_is_and_opens_its_value(opened):
    page = opened("#q=lade")
    page.locator("#scatter").scroll_into_view_if_needed()
    point = page.locator("#scatter .panel .point")
    assert point.count() == 1
    point.hover()
    assert "LADE" in page.locator("#scatter output").inner_text()
    assert "printed 50.0, here 44.0 (−6.0)" in page.locator("#scatter output").inner_text()
    page.locator("#scatter .panel svg").press("ArrowRight")
    page.keyboard.press("Enter")
    assert "LADE" in page.locator("#drawer-title").inner_text()


def test_the_nearest_curve_says_its_name(opened):
    page = opened("#method=CC")
    page.locator("#curves").scroll_into_view_if_needed()
    page.locator("#curves .last").first.hover()
    assert page.locator("#curves output").first.inner_text() == "CC, seed 0, running: 10 of 20 epochs; epoch 10: 0.2"


def test_the_list_holds_what_is_shown_and_is_downloaded(opened, tmp_path):
    page = opened("#paper=other")
    page.locator("#values").scroll_into_view_if_needed()
    page.locator("#values tbody tr").first.wait_for()
    page.locator("#values").get_by_role("button", name="Here").click()
    assert page.locator("#values tbody th.row").all_inner_texts() == ["CE", "Focal", "Extra", "LADE"]
    with page.expect_download() as download:
        page.locator("#csv").click()
    download.value.save_as(tmp_path / "values.csv")
    with (tmp_path / "values.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(line["method"], float(line["here"])) for line in found] == [
        ("CE", 63.0),
        ("Focal", 57.0),
        ("Extra", 51.0),
        ("LADE", 44.0),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_the_page_sideways(opened, scheme):
    page = opened(viewport={"width": 390, "height": 800}, has_touch=True, color_scheme=scheme)
    for part in ("#scatter", "#curves", "#values"):
        page.locator(part).scroll_into_view_if_needed()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#choose").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(SMALL) == []
    page.locator("#choose").tap()
    page.locator(f"{ERRORS} td[data-i='14']").tap()
    assert page.locator("#drawer").bounding_box()["width"] < 391
    page.evaluate("for (const one of document.querySelectorAll('#drawer details')) one.open = true")
    assert page.evaluate("document.querySelector('#drawer').scrollWidth") <= 390


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const mixed = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const one of colours) {
      canvas.fillStyle = one;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) =>
    colour.reduce((sum, value, k) => sum + linear(value / 255) * [0.2126, 0.7152, 0.0722][k], 0);
  const has_text = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || one.closest("svg, .bar, [aria-hidden=true]") || !has_text(one)) continue;
    const behind = ["Canvas"];
    for (let each = one; each; each = each.parentElement) behind.splice(1, 0, getComputedStyle(each).backgroundColor);
    const over = mixed([...behind, getComputedStyle(one).color]);
    const [more, less] = [light(mixed(behind)), light(over)].sort((a, b) => b - a);
    const ratio = (more + 0.05) / (less + 0.05);
    if (ratio < 4.5) found.push(`${one.className || one.tagName} ${one.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return found;
}"""
"""Texts that stand out from their background less than WCAG's AA wants."""

SMALL = """() => [...document.querySelectorAll("button, select, input[type=search]")]
  .filter((one) => one.checkVisibility() && !one.closest("th") && one.getBoundingClientRect().height < 32)
  .map((one) => one.outerHTML)"""
"""What is hard to hit with a thumb."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened, scheme):
    page = opened("#cell=conmix-table1.0", color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []


def test_without_scripts_tables_and_figures_are_complete(opened):
    page = opened(java_script_enabled=False)
    assert len(methods(page, "section.table")) == 7
    assert page.locator("section.table td[data-i='0']").inner_text().split()[-1] == "+4.0"
    assert page.locator("figure img").count() == 2
    assert page.get_by_text("not drawn yet").is_visible()
    assert not page.locator("#controls").is_visible()
    assert page.get_by_text("Scripts are off").is_visible()


def test_a_print_shows_the_tables_and_no_controls(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible()
    assert page.locator(CLUSTERING).is_visible()
