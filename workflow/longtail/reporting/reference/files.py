"""The pages of all keys that people may write, in the configuration and in files of the catalogue."""

from __future__ import annotations

from longtail.reporting.reference.keys import mappings, section

CONFIGURATION = """# Configuration

Every key of `config.yaml`, and of any file named by `--configfile`; on the command line it is `--config key=value`,
after the targets. What is mistyped is answered with what was probably meant. Machines, memory and partitions belong
in a [profile](clusters.md). Written by `make docs` from
[`config.schema.yaml`](../workflow/schemas/config.schema.yaml); a test holds it up to date.
"""
CATALOGUE = """# Files of the catalogue

Every key of a file that adds a dataset, a method or a table, in `workflow/catalog` or in a folder of your own that
the [configuration](configuration.md) names as `catalog`. [Contributing](../CONTRIBUTING.md) and [your own
images](own-images.md) walk through such files. `<name>` stands for a name of your choice. Written by `make docs` from
the schemas under [`workflow/schemas`](../workflow/schemas); a test holds it up to date.
"""
FILES = {
    "Datasets": ("dataset", "datasets/digits.yaml"),
    "Methods": ("method", "methods/simclr.yaml"),
    "Tables and figures": ("paper", "papers/digits.yaml"),
    "Remarks": ("remarks", "remarks.yaml"),
}
"""Heading, schema and an example of each kind of file."""


def configuration() -> str:
    """The page of the configuration, in Markdown."""
    return "\n".join([CONFIGURATION, *map(section, mappings("config"))])


def catalogue() -> str:
    """The page of the catalogue's files, in Markdown."""
    parts = [CATALOGUE]
    for heading, (schema, example) in FILES.items():
        parts.append(f"## {heading}\n\nAn example: [`{example}`](../workflow/catalog/{example}).\n")
        parts += map(section, mappings(schema))
    return "\n".join(parts)
