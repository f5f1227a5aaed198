"""``python -m longtail project``: two dimensions for the eye (MiniClustering Fig. 6)."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError, unknown
from longtail.evaluation.reading import call, read_embeddings, read_settings, unit_rows
from longtail.files import read_provenance, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--embeddings", type=Path, required=True, metavar="PATH", help="embeddings.parquet of a split")
    parser.add_argument("--projection", required=True, metavar="JSON", help="an entry of readouts.yaml's projections")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="projection file to write")


def run(arguments: argparse.Namespace) -> None:
    """Project all rows and write row, label, x and y."""
    settings = read_settings(arguments.projection, "projection")
    name = settings["name"]
    if name not in PROJECTIONS:
        raise unknown("projection", name, PROJECTIONS)
    vectors, labels = read_embeddings(arguments.embeddings)
    rest = {key: value for key, value in settings.items() if key != "name"}
    points = call(f"projection {name!r}", PROJECTIONS[name], rest, unit_rows(vectors))
    table = pa.table({"row": np.arange(len(points)), "label": labels, "x": points[:, 0], "y": points[:, 1]})
    write_table(arguments.out, table, projection=settings, embeddings=read_provenance(arguments.embeddings))


def umap(vectors: np.ndarray, *, seed: int) -> np.ndarray:
    """UMAP with the library's defaults, (N, 2) float32; the paper states none of its parameters.

    Args:
        vectors: (N, D) float32 of length one, as they are clustered.
        seed: of the layout; one thread, so that it is the same each time.

    Raises:
        LongtailError: if there are no more rows than the neighbours that UMAP looks at.
    """
    if len(vectors) <= NEIGHBOURS:
        raise LongtailError(f"UMAP looks at {NEIGHBOURS} neighbours of each row; {len(vectors)} rows are too few.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # of an optional part that needs tensorflow
        from umap import UMAP
    return UMAP(random_state=seed, n_jobs=1).fit_transform(vectors).astype(np.float32)


NEIGHBOURS = 15  # the library's default
PROJECTIONS = {"umap": umap}
