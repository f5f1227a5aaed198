"""Where every file lies. Nothing else in the project knows a path below ``results/``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RESULTS = "results"
FOLDERS = [
    f"{RESULTS}/{name}"
    for name in ("datasets", "encoders", "weights", "phases", "controls", "state", "logs", "benchmarks")
]


def move(results: str) -> None:
    """Have every path begin with another folder than ``results``, for the rest of this process.

    A workflow that imports this one as a module may put it there. Snakemake itself moves the paths that rules name; a
    command that asks the study for paths is told.

    Args:
        results: the folder, as seen from the working directory.
    """
    global RESULTS
    RESULTS = results


@contextmanager
def moved(results: str) -> Iterator[None]:
    """Have every path begin with another folder within the block, as :func:`move` does for good."""
    before = RESULTS
    move(results)
    try:
        yield
    finally:
        move(before)


def images(image_set: str, part: str) -> str:
    """The decoded images of one part of an image set."""
    return f"{RESULTS}/datasets/{image_set}/{part}/images.npy"


def index(image_set: str, part: str) -> str:
    """Where the images of one part of an image set lie, if they stay encoded."""
    return f"{RESULTS}/datasets/{image_set}/{part}/files.parquet"


def encoded(image_set: str, part: str) -> str:
    """Those of them that have no files of their own."""
    return f"{RESULTS}/datasets/{image_set}/{part}/encoded.bin"


def texts(text_set: str, part: str) -> str:
    """The words of one part of a text set."""
    return f"{RESULTS}/datasets/{text_set}/{part}/tokens.npz"


def encoder_folder(name: str) -> str:
    """What the folder of an encoder is called; its name has a slash, and may have anything else."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def encoder_files(name: str) -> list[str]:
    """All files of a sentence encoder, its configuration first."""
    return files_in(encoder_folder(name))


def files_in(folder: str) -> list[str]:
    """The files of the encoder whose folder is called so."""
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    return [f"{RESULTS}/encoders/{folder}/{file}" for file in files]


def weights_folder(backbone: str, weights: str) -> str:
    """What the folder of a network's published weights is called."""
    return f"{backbone}-{weights.lower()}"


def image_weights(folder: str) -> str:
    """The published weights whose folder is called so."""
    return f"{RESULTS}/weights/{folder}/model.safetensors"


def labels(image_set: str, part: str) -> str:
    """Their labels."""
    return f"{RESULTS}/datasets/{image_set}/{part}/labels.parquet"


def split(cut: str, split: str) -> str:
    """The rows of a cut of a dataset."""
    return f"{RESULTS}/datasets/{cut}/{split}.parquet"


@dataclass(frozen=True)
class Run:
    """One seed of a phase, or of a control: the folder everything derived from it lies in.

    Attributes:
        kind: ``phases`` or ``controls``.
        cut: the split it belongs to.
        name: the phase's folder name, or the control's.
        seed: training seed. Rules of the workflow have wildcards in place of all of them.
    """

    kind: str
    cut: str
    name: str
    seed: int

    @property
    def folder(self) -> str:
        """Everything below belongs to this run."""
        return f"{RESULTS}/{self.kind}/{self.cut}/{self.name}/seed{self.seed}"

    @property
    def checkpoint(self) -> str:
        """The finished weights of a phase."""
        return f"{self.folder}/checkpoint.pt"

    @property
    def spec(self) -> str:
        """Everything that went into a phase."""
        return f"{self.folder}/spec.json"

    @property
    def history(self) -> str:
        """How the training of a phase went, epoch by epoch."""
        return f"{self.folder}/history.parquet"

    @property
    def state(self) -> str:
        """The folder of an unfinished training, from which it goes on."""
        return f"{RESULTS}/state/{self.cut}/{self.name}/seed{self.seed}"

    @property
    def history_so_far(self) -> str:
        """How an unfinished training has gone until now."""
        return f"{self.state}/history.parquet"

    def embeddings(self, features: str, split: str) -> str:
        """Embeddings of one split."""
        return f"{self.folder}/{features}/{split}/embeddings.parquet"

    def assignments(self, features: str, split: str, clusterer: str) -> str:
        """Clusters of the embeddings."""
        return f"{self.folder}/{features}/{split}/assignments/{clusterer}.parquet"

    def weights(self, features: str, split: str) -> str:
        """The classifier behind the features; without a line where there is none."""
        return f"{self.folder}/{features}/{split}/weights.parquet"

    def predictions(self, features: str, split: str, classifier: str) -> str:
        """Classes that a classifier predicts."""
        return f"{self.folder}/{features}/{split}/predictions/{classifier}.parquet"

    def corrupted(self, features: str) -> str:
        """How many corrupted test images of each class the classifier behind the features gets right."""
        return f"{self.folder}/{features}/corruptions.parquet"

    def metrics(self, features: str, split: str, readout: str, scorer: str) -> str:
        """Metrics of one scorer: of what a readout made, or of :data:`~longtail.study.artefacts.OF_THE_TRAINING`."""
        return f"{self.folder}/{features}/{split}/metrics/{readout}/{scorer}.parquet"

    def projection(self, features: str, split: str, projection: str) -> str:
        """A two-dimensional picture of the embeddings."""
        return f"{self.folder}/{features}/{split}/projections/{projection}.parquet"

    def log(self, stage: str, *what: str) -> str:
        """The log of a job; ``what`` tells it from the others of its stage (features, split, readout, ...)."""
        return log(stage, self._job(stage, what))

    def benchmark(self, stage: str, *what: str) -> str:
        """What the job with that log took."""
        return benchmark(stage, self._job(stage, what))

    def _job(self, stage: str, what: tuple[str, ...]) -> str:
        kind = () if stage in ("train", "embed", "corruptions") else (self.kind,)
        return f"{self.cut}/{'-'.join((*kind, self.name, f'seed{self.seed}', *what))}"


def finished_phases() -> Iterator[Run]:
    """Every phase and seed that left a specification, whatever configuration it was trained under."""
    for path in sorted(Path(RESULTS).glob("phases/*/*/seed*/spec.json")):
        *_, cut, name, seed, _ = path.parts
        yield Run("phases", cut, name, int(seed.removeprefix("seed")))


def saved_states() -> list[str]:
    """The folders of trainings that were begun, and are not finished."""
    return sorted(str(path) for path in Path(RESULTS).glob("state/*/*/seed*") if any(path.iterdir()))


def records_folder() -> str:
    """Where the records lie that a checkout carries."""
    return f"{RESULTS}/records"


def record(folder: str, cut: str, name: str) -> str:
    """One record in a folder of records, of its file name."""
    return f"{folder}/cells/{cut}/{name}"


def records(folder: str, cuts: Iterable[str] = ("*",)) -> list[str]:
    """All records that lie in a folder of records, or those on some splits; no hidden file is one."""
    found = (path for cut in cuts for path in Path(folder).glob(f"cells/{cut}/[!.]*.parquet"))
    return sorted(map(str, found))


def log(stage: str, job: str, view_name: str = "") -> str:
    """The log of a job of a stage; those of merged metrics, tables and figures lie in the view they are made for."""
    return f"{view(view_name)}/logs/{stage}/{job}.log"


def benchmark(stage: str, job: str, view_name: str = "") -> str:
    """What a job of a stage took, written when it has succeeded; it lies beside the job's log."""
    return f"{view(view_name)}/benchmarks/{stage}/{job}.jsonl"


def overview_log(command: str, view_name: str) -> str:
    """The log of ``plan`` or ``status``."""
    return f"{view(view_name)}/logs/{command}.log"


def view(name: str) -> str:
    """The folder of tables and figures made under one budget and protocol."""
    return f"{RESULTS}/{name}" if name else RESULTS


def within_view(path: str, places: Iterable[str]) -> tuple[str, str, tuple[str, ...]] | None:
    """View, place in it and the rest of a path, if it is one of a file in one of ``places`` of a view."""
    match = re.fullmatch(rf"{RESULTS}/(?:([^/]+)/)?({'|'.join(places)})/(.+)", path)
    return None if match is None else (match[1] or "", match[2], tuple(match[3].split("/")))


def merged(view_name: str, paper: str, artefact: str) -> str:
    """The merged metrics of one table or figure."""
    return f"{view(view_name)}/metrics/{paper}/{artefact}.parquet"


def cell(view_name: str, method: str, cut: str, seed: int | str) -> str:
    """The metrics of one cell, by the method's own readout."""
    return f"{view(view_name)}/cells/{method}/{cut}/seed{seed}.parquet"


def plan(view_name: str) -> str:
    """What there is to do, and what it takes; without the suffix of its formats."""
    return f"{view(view_name)}/plan"


def status(view_name: str) -> str:
    """What is there, what is missing, and what failed; without the suffix of its formats."""
    return f"{view(view_name)}/status"


def page(view_name: str) -> str:
    """All results of a view as one page."""
    return f"{view(view_name)}/index.html"


def other_pages(view_name: str) -> dict[str, str]:
    """The pages of other views that are there, by the name of the view; empty for the papers' own."""
    found = {"": page(""), **{path.parent.name: str(path) for path in sorted(Path(RESULTS).glob("*/index.html"))}}
    return {name: path for name, path in found.items() if name != view_name and Path(path).exists()}


DISCREPANCIES = f"{RESULTS}/discrepancies"
"""The page on where papers and codes part, without the suffix of its formats; the same under every configuration."""

TABLE_FORMATS = ("parquet", "csv", "md", "tex", "html")
FIGURE_FORMATS = ("parquet", "pdf", "svg", "png")


def recorded_view(view_name: str) -> str:
    """The name of the view that shows what is recorded, and nothing that was computed here."""
    return f"{view_name}-recorded" if view_name else "recorded"


def reproduction(view_name: str) -> str:
    """The page that holds what is recorded against what is printed; without the suffix of its formats."""
    return f"{view(view_name)}/reproduction"


def table(view_name: str, paper: str, name: str) -> list[str]:
    """All formats of a table."""
    return [f"{view(view_name)}/tables/{paper}/{name}.{form}" for form in TABLE_FORMATS]


def figure(view_name: str, paper: str, name: str) -> list[str]:
    """All formats of a figure."""
    return [f"{view(view_name)}/figures/{paper}/{name}.{form}" for form in FIGURE_FORMATS]
