"""Stands in for ``longtail.__main__`` where the workflow's own cost is measured: makes the outputs, nothing else."""

import sys
from pathlib import Path

FILES = ("--out", "--checkpoint", "--history", "--spec-out")
OTHERS = {"store": ("--images", "--labels"), "embed": ("--out", "--weights")}


def outputs(command: str, options: dict[str, str]) -> list[Path]:
    """The files that a job of the workflow is to make."""
    if command in ("table", "figure"):
        from longtail.study import layout  # here, as the other jobs need nothing of the package

        suffixes = layout.TABLE_FORMATS if command == "table" else layout.FIGURE_FORMATS
        return [Path(options["--out-dir"], f"{options[f'--{command}']}.{suffix}") for suffix in suffixes]
    return [Path(options[name]) for name in OTHERS.get(command, FILES) if name in options]


if __name__ == "__main__":
    for path in outputs(sys.argv[2], dict(zip(sys.argv[3:], sys.argv[4:], strict=False))):
        path.touch()
