"""``python -m longtail job project``: two dimensions for the eye.

UMAP for MiniClustering Fig. 6; t-SNE for ICCL Fig. 3, ResCom Fig. 6 and GloCo Fig. 2. A layout has no place for points
that were not there when it was made, so all that one picture compares is projected together.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.errors import LongtailError, unknown
from longtail.evaluation.reading import (
    call,
    read_class_sizes,
    read_embeddings,
    read_settings,
    read_split,
    read_weights,
    unit_rows,
)
from longtail.files import read_provenance, write_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--embeddings", type=Path, required=True, metavar="PATH", help="embeddings.parquet of a split")
    parser.add_argument("--split", type=Path, required=True, metavar="PATH", help="the split that was embedded")
    parser.add_argument("--projection", required=True, metavar="JSON", help="an entry of readouts.yaml's projections")
    parser.add_argument("--training", type=Path, metavar="PATH", help="embeddings of the training split")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="weights.parquet of the classifier")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="projection file to write")


def run(arguments: argparse.Namespace) -> None:
    """Project all rows together; write what each point is of, its row or class, label, x and y.

    Raises:
        LongtailError: for an algorithm that does not exist, files that do not fit each other, and too few points.
    """
    settings = read_settings(arguments.projection, "projection")
    rest = {key: value for key, value in settings.items() if key not in ("name", "algorithm", "needs", "smallest")}
    name, algorithm = settings["name"], settings.get("algorithm")
    if algorithm not in PROJECTIONS:
        raise unknown(f"algorithm (projection {name!r})", algorithm, PROJECTIONS)
    columns, vectors = _gathered(settings, arguments)
    points = call(f"projection {name!r}", PROJECTIONS[algorithm], rest, unit_rows(vectors))
    table = pa.table({**columns, "x": points[:, 0], "y": points[:, 1]})
    write_table(arguments.out, table, projection=settings, embeddings=read_provenance(arguments.embeddings))


def _gathered(settings: Mapping[str, Any], arguments: argparse.Namespace) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is projected: ``part``, ``row`` and ``label`` of each point, and its vector, (N, D).

    ``part`` is ``split`` for rows of the split, ``training`` for those of the training split, and ``weights`` for the
    weights of the classifier behind the features, whose ``row`` is their class.
    """
    parts = {"split": read_embeddings(arguments.embeddings, split=read_split(arguments.split))}
    if "training_features" in settings.get("needs", ()):
        if arguments.training is None or arguments.training == arguments.embeddings:
            raise LongtailError(
                f"The projection {settings['name']!r} shows training images beside others: give the embeddings of a "
                "test split, and those of the training images with --training."
            )
        parts["training"] = read_embeddings(arguments.training)
    if "weights" in settings.get("needs", ()):
        if arguments.weights is None:
            raise LongtailError(f"The projection {settings['name']!r} shows weights: give them with --weights.")
        weights = read_weights(arguments.weights)
        parts["weights"] = (weights, np.arange(len(weights)))
    widths = {vectors.shape[1] for vectors, _ in parts.values()}
    if len(widths) > 1:
        raise LongtailError(
            f"{arguments.embeddings} and what is projected besides have vectors of {sorted(widths)} numbers."
        )
    columns = {
        "part": np.repeat(list(parts), [len(labels) for _, labels in parts.values()]),
        "row": np.concatenate([np.arange(len(labels)) for _, labels in parts.values()]),
        "label": np.concatenate([labels for _, labels in parts.values()]),
    }
    vectors = np.concatenate([vectors for vectors, _ in parts.values()])
    if "smallest" not in settings:
        return columns, vectors
    sizes = read_class_sizes(arguments.split)
    # Of classes of one size those that come last: classes of a long tail are numbered from the largest on.
    smallest = np.lexsort((-np.arange(len(sizes)), sizes))[: settings["smallest"]]
    kept = np.isin(columns["label"], smallest)
    return {column: values[kept] for column, values in columns.items()}, vectors[kept]


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


def tsne(vectors: np.ndarray, *, perplexity: float, seed: int) -> np.ndarray:
    """t-SNE with scikit-learn's other defaults (start from principal components, 1000 iterations), (N, 2) float32.

    Args:
        vectors: (N, D) float32 of length one, D at least 2.
        perplexity: about how many neighbours of each row count.
        seed: of the layout; one thread, so that it is the same each time.

    Raises:
        LongtailError: if there are no more rows than the perplexity.
    """
    from sklearn.manifold import TSNE

    if len(vectors) <= perplexity:
        raise LongtailError(
            f"t-SNE of perplexity {perplexity:g} needs more rows than that; {len(vectors)} are too few."
        )
    return TSNE(perplexity=perplexity, random_state=seed, n_jobs=1).fit_transform(vectors).astype(np.float32)


NEIGHBOURS = 15  # the library's default
PROJECTIONS: dict[str, Callable[..., np.ndarray]] = {"umap": umap, "tsne": tsne}
