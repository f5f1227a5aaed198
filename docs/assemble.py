"""The hook of mkdocs.yml: makes a site out of pages that are written to be read where the repository is read, too.

Pages at the root of the repository become pages of the site, and so do notebooks. Links are written as a code host
follows them, from file to file; here they lead to the site's page, or to a copy of the file that the site then has
under ``source/``. Formulas become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import base64
import html
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from docutils.utils.math.latex2mathml import tex2mathml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ELSEWHERE = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Pages that lie outside of ``docs``, by the names that the site has for them."""

SOURCE = "source"
NOTEBOOK = ".ipynb"
_CODE = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2`*$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""(?P<before>\]\(|\b(?:src|href)=")(?P<to>[^)\s"#]+)(?P<anchor>#[^)\s"]*)?(?P<after>[)"])""")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.+?)\\[)\]]</\1>', re.DOTALL)
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_TABLE = re.compile(r"<table\b[^>]*>")
_BLANK = re.compile(r"\n\s*\n")
_SIZE = re.compile(r"\\[Bb]igg?[lr]?(?![A-Za-z])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and whatever any page links to."""
    docs = Path(config.docs_dir)
    root = docs.parent
    written = {f"{docs.name}/{one.src_uri}": one.src_uri for one in files if is_page(one)}
    written |= {name: uri for name, uri in ELSEWHERE.items() if (root / name).is_file()}
    waiting, seen = [*written], {*written}
    while waiting:
        name = waiting.pop()
        uri = uri_of(root, name)
        if uri.endswith(".md"):
            text, linked = rewritten(page_of(root, name), name, uri, root)
            _put(files, File.generated(config, uri, content=text))
        else:
            linked = set()
            _put(files, File.generated(config, uri, abs_src_path=str(root / name)))
        waiting += sorted(linked - seen)
        seen |= linked
    return files


def is_page(file: File) -> bool:
    """Whether a file under ``docs`` becomes a page."""
    return file.is_documentation_page() or file.src_uri.endswith(NOTEBOOK)


def on_page_content(content: str, **_: object) -> str:
    """Formulas as MathML."""
    return _FORMULA.sub(lambda found: mathml(html.unescape(found[2]), block=found[1] == "div"), content)


def mathml(formula: str, block: bool = False) -> str:
    r"""A formula in LaTeX as an element that browsers draw.

    Bars are escaped in cells of tables, and a double bar is written ``\Vert``, so ``\|`` is one bar. Sizes of brackets
    are left out: in MathML these grow with what they hold.
    """
    return str(tex2mathml(_SIZE.sub("", formula.replace(r"\|", "|")), as_block=block))


def uri_of(root: Path, name: str) -> str:
    """What the site calls a file or folder of the repository."""
    path = PurePosixPath(name)
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    if (root / name).is_dir():
        return f"{SOURCE}/{name}/index.md"
    if path.parts[0] == "docs":
        return str(path.relative_to("docs").with_suffix(".md" if path.suffix == NOTEBOOK else path.suffix))
    return f"{SOURCE}/{name}.md" if is_text(root / name) else f"{SOURCE}/{name}"


def is_text(path: Path) -> bool:
    """Whether a file is shown as a page, and not as it is."""
    return path.suffix not in {".svg", NOTEBOOK} and b"\0" not in path.read_bytes()


def page_of(root: Path, name: str) -> str:
    """A page of the site, in Markdown: what it is, or one that shows a file or lists a folder."""
    path = root / name
    if not uri_of(root, name).startswith(f"{SOURCE}/"):
        text = path.read_text(encoding="utf-8")
        return notebook(json.loads(text)) if path.suffix == NOTEBOOK else text
    head = "---\nsearch:\n  exclude: true\nhide: [navigation]\n---\n\n"
    if path.suffix == ".md":
        return head + path.read_text(encoding="utf-8")
    if path.is_dir():
        shown = sorted(one.name for one in path.iterdir() if not one.name.startswith((".", "__")))
        return f"{head}# {name}\n\n" + "\n".join(f"* [{one}]({one})" for one in shown) + "\n"
    return f"{head}# {name}\n\n{_fenced(path.read_text(encoding='utf-8'), path.suffix[1:])}\n"


def notebook(document: Mapping[str, Any]) -> str:
    """A notebook as it was executed: its text, its code, and what came out of each cell, as the richest form it has."""
    language = document["metadata"].get("language_info", {}).get("name", "python")
    parts = []
    for cell in document["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            parts.append(_fenced(text, language))
            parts += map(_output, cell["outputs"])
        else:
            parts.append(text)
    return "\n\n".join(parts) + "\n"


def _output(output: Mapping[str, Any]) -> str:
    if output["output_type"] == "error":
        raise PluginError(f"A cell of a notebook has failed: {output['ename']}: {output['evalue']}")
    found = {kind: "".join(text) for kind, text in output.get("data", {"text/plain": output.get("text", "")}).items()}
    if "text/html" in found:
        shown = _BLANK.sub("\n", _STYLE.sub("", found["text/html"]))
        return f"<div>{_TABLE.sub('<table>', shown)}</div>"
    if "image/svg+xml" in found:
        encoded = base64.b64encode(found["image/svg+xml"].encode()).decode()
        return f'<img alt="What the cell draws" src="data:image/svg+xml;base64,{encoded}">'
    if "image/png" in found:
        return f'<img alt="What the cell draws" src="data:image/png;base64,{"".join(found["image/png"].split())}">'
    return _fenced(found["text/plain"], "text")


def _fenced(text: str, language: str) -> str:
    return f"``````{language}\n{text.rstrip()}\n``````"


def rewritten(text: str, name: str, uri: str, root: Path) -> tuple[str, set[str]]:
    """A page whose links lead through the site, and the files and folders that it links to.

    Args:
        text: the page, with links as they are in the repository.
        name: of its file there.
        uri: of the page in the site.
        root: of the repository.

    Raises:
        PluginError: where a link leads nowhere.
    """
    linked: set[str] = set()
    folder = name if (root / name).is_dir() else posixpath.dirname(name)

    def lead(found: re.Match[str]) -> str:
        if re.match(r"[a-z]+:", found["to"]):
            return found[0]
        target = posixpath.normpath(posixpath.join(folder, found["to"]))
        if target.startswith("..") or not (root / target).exists():
            raise PluginError(f"{name} links to {found['to']}, which there is not.")
        linked.add(target)
        to = posixpath.relpath(uri_of(root, target), posixpath.dirname(uri) or ".")
        return f"{found['before']}{to}{found['anchor'] or ''}{found['after']}"

    return "".join(_outside_code(text, lambda part: _LINK.sub(lead, part))), linked


def _outside_code(text: str, change: Callable[[str], str]) -> Iterator[str]:
    """The parts of a page in their order, all but code changed."""
    end = 0
    for code in _CODE.finditer(text):
        yield change(text[end : code.start()])
        yield code[0]
        end = code.end()
    yield change(text[end:])


def _put(files: Files, file: File) -> None:
    """Add a file, in place of one that has its name."""
    if (there := files.get_file_from_path(file.src_uri)) is not None:
        files.remove(there)
    files.append(file)
