"""What runs of Snakemake say, read back."""

from __future__ import annotations

import re


def would_run(output: str) -> dict[str, int]:
    """Jobs per rule of a dry run, whether this project tells it or, with ``--printshellcmds``, Snakemake."""
    if told := re.search(r"^It would run \d+ jobs?: (.*(?:\n    .*)*)", output, re.M):
        return {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", told[1])}
    table = output[output.index("Job stats:") :].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.M) if name != "total"}
