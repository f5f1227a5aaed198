"""The documentation's site is built from the repository without a warning, and loads nothing from other sites."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from mkdocs.exceptions import PluginError
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]


def load_hook():
    spec = importlib.util.spec_from_file_location("assemble", ROOT / "docs/assemble.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


assemble = load_hook()


def build(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """As `make site` does; with --quiet nothing would be strict."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_a_page_that_is_not_listed_and_a_heading_that_is_not_there_end_the_build(tmp_path: Path) -> None:
    for path in ROOT.iterdir():
        if path.name not in ("docs", "site", ".git"):
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "docs/lost.md").write_text("# Lost\n\n[nowhere](start.md#no-such-heading)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert re.search("not included in the .nav. .*lost.md", built.stderr, re.DOTALL)
    assert re.search("does not contain an anchor '#no-such-heading'", built.stderr)


class Loaded(HTMLParser):
    """What a page loads by itself, links that a person follows apart."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        self.addresses += [known[name] for name in ("src", "srcset", "data", "poster") if name in known]
        if tag == "link" and known.get("rel") not in {"canonical", "prev", "next"}:
            self.addresses.append(known["href"])


def test_nothing_is_loaded_from_other_sites(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for path in pages:
        loaded = Loaded()
        loaded.feed(path.read_text())
        assert any(address.endswith(".js") for address in loaded.addresses)
        assert [address for address in loaded.addresses if re.match("(https?:)?//", address)] == [], path
        assert 'class="mermaid"' not in path.read_text(), path  # for which the theme loads a script
    for path in site.rglob("*.css"):
        assert re.findall(r"""url\(["']?(?:https?:)?//|@import""", path.read_text()) == [], path


def test_pages_can_be_searched(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    found = {page["location"].partition("#")[0] for page in index["docs"]}
    assert {"index.html", "architecture.html", "configuration.html"} <= found
    assert [page for page in found if page.startswith("source/")] == []


def test_a_reader_without_a_server_finds_what_is_searched_for(site: Path, browser: Browser) -> None:
    with browser.new_page() as page:
        page.goto(f"{(site / 'source/workflow/schemas/index.html').as_uri()}?q=pretraining_seed")
        page.locator(".md-search-result__link", has_text="Configuration").first.wait_for(timeout=30_000)


@pytest.mark.parametrize("width", [390, 1366])
def test_pages_fit_a_screen_and_ask_for_nothing_from_elsewhere(site: Path, browser: Browser, width: int) -> None:
    with browser.new_page(viewport={"width": width, "height": 900}) as page:
        asked, complaints, wide = [], [], {}
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for path in sorted({*site.glob("*.html")} - {site / "404.html"}):
            page.goto(path.as_uri())
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                wide[path.name] = needed
        assert wide == {}
        assert complaints == []
        assert asked
        assert [url for url in asked if not url.startswith("file:")] == []


def test_every_file_that_is_linked_is_there(site: Path) -> None:
    """Those that are no pages of the site, too; mkdocs looks at pages and headings."""
    for path in site.rglob("*.html"):
        if path.name == "404.html":  # whose addresses start from the root of a server
            continue
        for to in re.findall(r'href="([^"#?:]+)[#"]', path.read_text()):
            assert (path.parent / to).exists(), f"{path.relative_to(site)} links to {to}"


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    page = (site / "methods.html").read_text()
    formulas = len(re.findall(r"\| \$|→ \$", (ROOT / "docs/methods.md").read_text()))
    assert page.count("<math") >= formulas > 90
    assert "arithmatex" not in page


def test_pages_from_elsewhere_lead_through_the_site(site: Path) -> None:
    assert 'href="architecture.html"' in (site / "contributing.html").read_text()
    assert 'href="contributing.html"' in (site / "index.html").read_text()


def test_every_page_is_in_the_navigation_once() -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, _, node: loader.construct_mapping(node))
    document = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    entries = [page for section in document["nav"] for pages in section.values() for page in pages]
    listed = [page if isinstance(page, str) else next(iter(page.values())) for page in entries]
    there = {path.with_suffix(".md").name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")}
    there |= {uri for name, uri in assemble.ELSEWHERE.items() if (ROOT / name).exists()}
    assert sorted(listed) == sorted(there)


def test_links_are_followed_as_a_code_host_follows_them(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "code").mkdir()
    for name in ("README.md", "docs/more.md", "docs/picture.svg", "code/loss.py", "LICENSE"):
        (tmp_path / name).write_text("words\n")
    (tmp_path / "code/numbers.parquet").write_bytes(b"\0")

    text = "[a](docs/more.md#part) ![b](docs/picture.svg) [c](code/loss.py) [d](code) [e](https://a.b) [f](#g) `[g](x)`"
    found, linked = assemble.rewritten(text, "README.md", "index.md", tmp_path)
    assert found == (
        "[a](more.md#part) ![b](picture.svg) [c](source/code/loss.py.md) [d](source/code/index.md) "
        "[e](https://a.b) [f](#g) `[g](x)`"
    )
    assert linked == {"docs/more.md", "docs/picture.svg", "code/loss.py", "code"}

    listing = assemble.page_of(tmp_path, "code")
    found, linked = assemble.rewritten(listing, "code", "source/code/index.md", tmp_path)
    assert "[loss.py](loss.py.md)" in found
    assert "[numbers.parquet](numbers.parquet)" in found

    found, _ = assemble.rewritten('[home](../README.md) <img src="picture.svg">', "docs/more.md", "more.md", tmp_path)
    assert found == '[home](index.md) <img src="picture.svg">'
    with pytest.raises(PluginError, match=r"docs/more\.md links to \.\./gone, which there is not"):
        assemble.rewritten("[x](../gone)", "docs/more.md", "more.md", tmp_path)


def test_a_bar_and_a_double_bar_are_told_apart() -> None:
    assert "‖" not in assemble.mathml(r"\frac{1}{\|P\|}")
    assert "‖" in assemble.mathml(r"\Vert p \Vert")
    assert "[" in assemble.mathml(r"\Big[ x \Big]")


def test_a_notebook_is_shown_as_it_was_executed(tmp_path: Path) -> None:
    def outputs(*found):
        return [{"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": list(found)}]

    text = {"cell_type": "markdown", "source": ["# One\n", "\n", "See [two](two.md)."]}
    document = {"metadata": {}, "cells": [text, *outputs({"output_type": "stream", "text": ["1\n", "2\n"]})]}
    page = assemble.notebook(document)
    assert page.startswith("# One\n\nSee [two](two.md).\n\n``````python\na = 1\na\n``````")
    assert page.endswith("``````text\n1\n2\n``````\n")

    table = {
        "output_type": "execute_result",
        "data": {"text/plain": ["x"], "text/html": ["<style>\n</style><table border=1>\n", "\n", "</table>"]},
    }
    assert "<div><table>\n</table></div>" in assemble.notebook({"metadata": {}, "cells": outputs(table)})
    picture = {"output_type": "display_data", "data": {"text/plain": ["x"], "image/png": "aGk=\n"}}
    assert 'src="data:image/png;base64,aGk=">' in assemble.notebook({"metadata": {}, "cells": outputs(picture)})
    failed = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    with pytest.raises(PluginError, match="has failed: ValueError: no"):
        assemble.notebook({"metadata": {}, "cells": outputs(failed)})

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/one.ipynb").write_text(json.dumps(document))
    (tmp_path / "docs/two.md").write_text("[one](one.ipynb)")
    assert assemble.rewritten("[one](one.ipynb)", "docs/two.md", "two.md", tmp_path)[0] == "[one](one.md)"
    assert assemble.page_of(tmp_path, "docs/one.ipynb") == page
