"""The notebook of the documentation: it runs, and what is kept of it is what comes out."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = importlib.util.spec_from_file_location("execute", ROOT / "docs" / "execute.py")
assert SCRIPT is not None
assert SCRIPT.loader is not None
execute = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(execute)


@pytest.fixture(scope="module")
def kept() -> nbformat.NotebookNode:
    return nbformat.read(execute.NOTEBOOK, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shape(notebook: nbformat.NotebookNode) -> list[tuple]:
    """The code of each cell, and what comes out of it: kinds, and texts without their numbers, which rounding moves."""
    return [
        (
            cell.source,
            cell.execution_count,
            [
                (output.output_type, sorted(output.data), re.sub(r"[-\d.]+|\s+", " ", output.data["text/plain"]))
                for output in cell.outputs
            ],
        )
        for cell in code(notebook)
    ]


def test_every_cell_has_its_output(kept: nbformat.NotebookNode) -> None:
    assert all(cell.outputs for cell in code(kept))
    kinds = {output.output_type for cell in code(kept) for output in cell.outputs}
    assert kinds == {"execute_result", "display_data"}


def test_it_is_small_and_tells_nothing_of_a_kernel(kept: nbformat.NotebookNode) -> None:
    assert execute.NOTEBOOK.stat().st_size < 300_000
    assert kept.metadata == {"language_info": {"name": "python"}}
    assert all(cell.metadata == {} for cell in kept.cells)
    nbformat.validate(kept)


def test_it_gives_the_same_when_it_is_executed_anew(kept: nbformat.NotebookNode, tmp_path: Path) -> None:
    before = shape(kept)
    assert shape(execute.executed(nbformat.from_dict(kept), tmp_path)) == before
    assert list((tmp_path / "results/phases").rglob("checkpoint.pt"))
