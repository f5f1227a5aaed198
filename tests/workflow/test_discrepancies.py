"""The target `discrepancies`, through Snakemake."""

from __future__ import annotations

import sys


def test_the_page_is_made_without_torch_and_only_once(workflow):
    output = workflow.succeed("discrepancies", cores=1)
    assert "discrepancies" in output
    pages = {path.name: path.read_text() for path in workflow.files("discrepancies.*")}
    assert set(pages) == {"discrepancies.md", "discrepancies.html"}
    assert pages["discrepancies.md"].startswith("# Discrepancies")
    assert pages["discrepancies.html"].rstrip().endswith("</html>")
    assert not workflow.leftovers()
    assert "Nothing to be done" in workflow.succeed(
        "discrepancies", "--config", "budget=smoke", "protocol=paper", cores=1
    )


def test_the_job_imports_no_torch(workflow):
    script = (
        "import sys; from longtail.__main__ import main; status = main(['discrepancies', '--out', 'page']);"
        "sys.exit(status or ('torch' in sys.modules) * 2 or ('pandas' in sys.modules) * 3)"
    )
    done = workflow.by_hand([sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    assert (workflow.folder / "page.html").exists()
