"""``make notebook``: execute docs/notebook.ipynb anew, in a folder of its own, and keep what comes out of its cells."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of its cells, executed as if ``folder`` were the checkout.

    Bars and warnings are left out, and so is all that tells of the machine or the moment.

    Args:
        notebook: its cells; it is changed.
        folder: an empty one; everything that is computed stays in it.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    (folder / "docs").mkdir()
    (folder / "results").mkdir()
    (folder / "results" / "records").symlink_to(ROOT / "results" / "records")
    told = {"PYTHONPATH": str(ROOT / "workflow"), "JUPYTER_PLATFORM_DIRS": "1"}
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(
        cwd=str(folder / "docs"), env={**os.environ, **told}
    )
    notebook.metadata = nbformat.from_dict({"language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = nbformat.from_dict({}), f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Replace the notebook by what it is executed now."""
    with tempfile.TemporaryDirectory() as folder:
        document = executed(nbformat.read(NOTEBOOK, as_version=4), Path(folder))
    NOTEBOOK.write_text(nbformat.writes(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
