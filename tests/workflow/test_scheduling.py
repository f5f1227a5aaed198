"""How often Snakemake looks for jobs to start, in a run whose jobs do nothing but take a moment."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """
configfile: "config.yaml"
module longtail:
    snakefile: "longtail.smk"
    config: config
use rule * from longtail
"""


@pytest.mark.parametrize("imported", [False, True], ids=["itself", "as a module"])
def test_a_round_follows_the_end_of_a_job_and_nothing_else(checkout, imported):
    """Each round led to another a second later, for as long as jobs were waiting: their number grew without end."""
    (checkout.folder / "config.yaml").write_text("targets: [digits_table1]\nbudget: smoke\nseeds: [0]\n")
    package = checkout.folder / "workflow/longtail"
    shutil.copy(ROOT / "benchmarks/no_work.py", package / "__main__.py")
    with (package / "__main__.py").open("a") as file:
        file.write("    import time\n\n    time.sleep(0.05)\n")
    if imported:
        (checkout.folder / "Snakefile").rename(checkout.folder / "longtail.smk")
        (checkout.folder / "Snakefile").write_text(MODULE)
    output = checkout.succeed("digits_table1", "--verbose")
    jobs = int(re.search(r"^total +(\d+)$", output, re.M)[1])
    assert output.count("Finished jobid: ") == jobs > 30
    assert output.count("Ready jobs: ") <= jobs
