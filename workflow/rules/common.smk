# Functions and names that the rules share; no rules here.
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.logging import logger

ROOT = str(Path(str(workflow.current_basedir)).parent)
SLURM_COMMANDS = str(Path(ROOT).parent / "slurm" / "bin")
sys.path.insert(0, ROOT)
# Jobs import the package from this checkout, with the interpreter that runs Snakemake unless an environment is activated.
# The Slurm executor asks this checkout's stand-ins for the states of its jobs; their files say why.
os.environ.update(
    PYTHONPATH=ROOT,
    PATH=os.pathsep.join(dict.fromkeys([SLURM_COMMANDS, str(Path(sys.executable).parent), *os.get_exec_path()])),
)

from longtail import preflight
from longtail.errors import LongtailError
from longtail.processes import WORKFLOW
from longtail.splits import SPLITS
from longtail.study import layout, typed
from longtail.study.artefacts import OF_THE_TRAINING
from longtail.study.jobs import DECODING_THREADS, FEATURES_OF
from longtail.study.layout import Run
from longtail.study.phases import canonical
from longtail.study.study import load_study

# Whether jobs run on other machines, in the process that submits them and in those on these machines.
ON_CLUSTER = workflow.resource_settings.nodes is not None or workflow.remote_exec


def refuse(message):
    """End Snakemake with one message; under any other exception of a function of ours it would print a traceback."""
    sys.exit(f"error: {message}")


try:
    config.update(typed.meant(config))
    STUDY = load_study(config)
    TARGETS = STUDY.targets()
except LongtailError as error:
    refuse(error)

NAME = (
    STUDY.config.view
)  # what tables and figures under this configuration are called apart by; empty for the papers' own
VIEW = layout.view(NAME)

# What changes no result is not told to jobs that are told the configuration, lest they be redone.
MEANT = {key: value for key, value in config.items() if key not in ("trainings_per_gpu", "figures")}
DRAWN = {"figures": config["figures"]} if "figures" in config else {}  # told to those alone that draw
PER_GPU = STUDY.config.trainings_per_gpu

# The runs that rules speak of, in their wildcards: only the layout knows where files lie.
ANY = Run("{kind}", "{cut}", "{run}", "{seed}")
PHASE = Run("phases", "{cut}", "{phase}", "{seed}")
CONTROL = Run("controls", "{cut}", "{control}", "{seed}")
NETWORK = Run("phases", "{cut}", "{network}", "{seed}")  # a phase of which only the specification is there

# A workflow that imports this one as a module may call its rules otherwise and have its files elsewhere.
IMPORTED = not workflow.modifier.is_main_snakefile()
called = workflow.modifier.modify_rulename
moved = workflow.modifier.path_modifier.replace_prefix
RESULTS = moved(f"{layout.RESULTS}/").rstrip("/")
RECORDS = moved(layout.records_folder())

for folder in (layout.RESULTS, *layout.FOLDERS, VIEW):
    if moved(f"{folder}/") != f"{RESULTS}{folder.removeprefix(layout.RESULTS)}/":
        refuse(f"The module's replace_prefix moves only part of {layout.RESULTS}/. Move all of it, or give a prefix.")
    if Path(moved(folder)).is_symlink() and not Path(moved(folder)).exists():
        place = Path(moved(folder)).absolute()
        refuse(f"{place} is a link to {os.readlink(place)}, which is not there. Mount or make it, or remove the link.")
    if Path(moved(folder)).exists() and not Path(moved(folder)).is_dir():
        refuse(f"{Path(moved(folder)).absolute()} is a file, but results go into a folder of that name. Move it away.")

os.environ[WORKFLOW] = str(os.getpid())


def one_of(names):
    """A wildcard constraint that admits these names only."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


wildcard_constraints:
    image_set=one_of(STUDY.sets("images") - STUDY.streamed()),
    streamed_set=one_of(STUDY.streamed()),
    text_set=one_of(STUDY.sets("texts")),
    encoder=one_of(STUDY.encoders()),
    published=one_of(STUDY.image_weights()),
    part=one_of(SPLITS),
    split=one_of(SPLITS),
    cut=r"[a-z0-9_-]+-ir\d+",
    kind="phases|controls",
    phase=r"[a-z0-9_-]+-\d+-[0-9a-f]{10}",
    network=r"[a-z0-9_-]+-\d+-[0-9a-f]{10}",
    control=one_of({method.control for method in STUDY.catalog.methods.values() if method.control}),
    seed=r"\d+",
    features="[a-z0-9_]+",
    clusterer=one_of(STUDY.catalog.clusterers),
    classifier=one_of(STUDY.catalog.classifiers),
    readout=one_of([*STUDY.catalog.readouts, *OF_THE_TRAINING]),
    scorer=one_of(STUDY.catalog.scorers),
    projection=one_of(STUDY.catalog.projections),
    paper=one_of(STUDY.catalog.papers),
    table="[a-z0-9]+",
    figure="[a-z0-9]+",
    method="[a-z0-9_-]+",


def friendly(function):
    """A function of the wildcards whose errors reach the user as one message."""

    def wrapped(wildcards):
        try:
            return function(wildcards)
        except LongtailError as error:
            refuse(error)

    return wrapped


def run_of(wildcards):
    """The folder of a run whose kind is a wildcard."""
    return Run(wildcards.kind, wildcards.cut, wildcards.run, int(wildcards.seed))


def rising(amount):
    """Memory or minutes that grow with every attempt, up to three times the amount.

    More would not help what has failed three times, and would outgrow every node where attempts are lost to preemption.
    """
    return lambda wildcards, attempt: amount * min(attempt, 3)


def resources_of(cut):
    """Threads, memory and GPU that a dataset's training asks for."""
    dataset, _ = STUDY.dataset_of(cut)
    return {"gpu": 0, "minutes_per_epoch": 0.02, **dataset.images["resources"]}


def train_threads(wildcards):
    return max(1, resources_of(wildcards.cut)["threads"] // sharers(wildcards))


@friendly
def image_files(wildcards):
    dataset, _ = STUDY.dataset_of(wildcards.cut)
    split = getattr(wildcards, "split", "train")
    return [STUDY.stored(dataset, part) for part in STUDY.parts(wildcards.cut, split)]


def images_by_part(wildcards, input):
    """``part=path`` arguments for the parts a split is cut from."""
    split = getattr(wildcards, "split", "train")
    return [f"{part}={path}" for part, path in zip(STUDY.parts(wildcards.cut, split), input.images)]


def label_parts(wildcards):
    """Other splits speak of the class sizes of the train split, so they need the labels of both."""
    parts = [*STUDY.parts(wildcards.cut, "train"), *STUDY.parts(wildcards.cut, wildcards.split)]
    return list(dict.fromkeys(parts))


@friendly
def label_files(wildcards):
    dataset, _ = STUDY.dataset_of(wildcards.cut)
    return [layout.labels(dataset.images["name"], part) for part in label_parts(wildcards)]


def labels_by_part(wildcards, input):
    return [f"{part}={path}" for part, path in zip(label_parts(wildcards), input.labels)]


@friendly
def encoder_files(wildcards):
    """What reads a dataset's texts; nothing where it holds images."""
    dataset, _ = STUDY.dataset_of(wildcards.cut)
    if dataset.holds == "images":
        return []
    return layout.encoder_files(STUDY.encoder(dataset.images["name"])["name"])


def encoder_option(wildcards, input):
    return f"--encoder {Path(input.encoder[0]).parent}" if input.encoder else ""


@friendly
def pretrained_files(wildcards):
    """What the networks of a training come with: an encoder of texts, weights of a network for images, or nothing.

    They share a name in the rule: a new one would have Snakemake train again whatever was trained before there was it.
    """
    folder = STUDY.starts_from(wildcards.cut, wildcards.phase)
    return encoder_files(wildcards) if folder is None else [layout.image_weights(folder)]


def pretrained_option(wildcards, input):
    folder = STUDY.starts_from(wildcards.cut, wildcards.phase)
    return encoder_option(wildcards, input) if folder is None else f"--weights {input.encoder[0]}"


def tokenizer_files(wildcards):
    return layout.encoder_files(STUDY.encoder(wildcards.text_set)["name"])


def reread(title, outputs, inputs, benchmark):
    """Have what was read from raw data made again where these have been exchanged since, or say that they are gone.

    Snakemake asks for the inputs of a job before it decides which jobs to run.
    """
    if workflow.is_main_process:
        made = list(map(moved, outputs))
        again, word = preflight.raw_data(made[0], inputs, title, moved(benchmark))
        if again:
            workflow.dag.forcefiles.update(made)
        if word:
            logger.warning(word)
    return []


def reread_set(rule, content, name, part):
    """The same for a part of a set of images or texts; ``content`` is where the layout has them."""
    outputs = [content(name, part), layout.labels(name, part)]
    inputs = lambda: preflight.inputs_of(STUDY.store_spec(name), part)
    return reread(f"{name} ({part})", outputs, inputs, layout.benchmark(rule, f"{name}-{part}"))


def exchanged_images(wildcards):
    return reread_set("store", layout.images, wildcards.image_set, wildcards.part)


def exchanged_files(wildcards):
    return reread_set("index", layout.index, wildcards.streamed_set, wildcards.part)


def exchanged_texts(wildcards):
    return reread_set("tokenize", layout.texts, wildcards.text_set, wildcards.part)


def exchanged_encoder(wildcards):
    encoder = STUDY.encoders()[wildcards.encoder]
    inputs = lambda: preflight.encoder_inputs(encoder["folder"])
    benchmark = layout.benchmark("fetch_encoder", wildcards.encoder)
    return reread(encoder["name"], layout.encoder_files(encoder["name"]), inputs, benchmark)


def store_spec(wildcards):
    return canonical(STUDY.store_spec(wildcards.image_set))


def index_spec(wildcards):
    return canonical(STUDY.store_spec(wildcards.streamed_set))


def texts_spec(wildcards):
    return canonical(STUDY.store_spec(wildcards.text_set))


def wordnet_option(wildcards):
    return f"--wordnet {shlex.quote(STUDY.config.wordnet)}" if STUDY.config.wordnet else ""


def fetch_options(wildcards):
    encoder = STUDY.encoders()[wildcards.encoder]
    return " ".join(f"--{key} {shlex.quote(encoder[key])}" for key in ("name", "folder") if encoder[key])


def weights_options(wildcards):
    weights = STUDY.image_weights()[wildcards.published]
    return " ".join(f"--{key} {shlex.quote(weights[key])}" for key in ("url", "file") if weights[key])


def split_spec(wildcards):
    return canonical(STUDY.split_spec(wildcards.cut))


def data_spec(wildcards):
    dataset, ratio = STUDY.dataset_of(wildcards.cut)
    return canonical(STUDY.data_spec(dataset, ratio))


@friendly
def corrupted_spec(wildcards):
    return canonical(STUDY.corruptions_spec(STUDY.dataset_of(wildcards.cut)[0]))


@friendly
def parent_checkpoint(wildcards):
    parent = STUDY.parent_run(Run("phases", wildcards.cut, wildcards.phase, int(wildcards.seed)))
    return [] if parent is None else parent.checkpoint


@friendly
def phase_spec(wildcards):
    return canonical(STUDY.phase(wildcards.cut, wildcards.phase).spec(int(wildcards.seed)))


@friendly
def network_spec(wildcards):
    return canonical(STUDY.phase(wildcards.cut, wildcards.network).spec(int(wildcards.seed)))


def parent_option(wildcards, input):
    return f"--parent {input.parent}" if input.parent else ""


def train_minutes(wildcards, attempt):
    """Where trainings share a GPU, as many times more as if nothing were gained by it: that is the worst case."""
    epochs = STUDY.phase(wildcards.cut, wildcards.phase).epochs
    minutes = epochs * resources_of(wildcards.cut)["minutes_per_epoch"] * sharers(wildcards)
    return rising(30 + round(minutes))(wildcards, attempt)


def train_memory(wildcards, attempt):
    return rising(resources_of(wildcards.cut)["mem_mb"])(wildcards, attempt)


def gpus_for_training(wildcards):
    """As many as the dataset asks for, or as there may be; on this machine that limit counts shares (preflight.smk)."""
    asked, limit = resources_of(wildcards.cut)["gpu"], workflow.global_resources.get("gpu").value
    return asked if limit is None else min(asked, limit // (1 if ON_CLUSTER else PER_GPU))


def sharers(wildcards):
    """How many trainings share this one's GPU: it alone if it asks for several, or has none."""
    return PER_GPU if resources_of(wildcards.cut)["gpu"] == gpus_for_training(wildcards) == 1 else 1


def gpu_shard(wildcards):
    """What is asked of Slurm in place of a GPU that is shared; nothing on this machine, or for a whole GPU."""
    return "shard:1" if ON_CLUSTER and sharers(wildcards) > 1 else None


def train_gpus(wildcards):
    return 0 if gpu_shard(wildcards) else gpus_for_training(wildcards)


def embed_gpus(wildcards):
    return min(train_gpus(wildcards), 1)


def train_slots(wildcards):
    return gpus_for_training(wildcards) * PER_GPU // sharers(wildcards)


def embed_slots(wildcards):
    return min(gpus_for_training(wildcards), 1) * PER_GPU // sharers(wildcards)


def timing_threads(wildcards):
    return max(1, resources_of(wildcards.cut)["threads"])


def timing_gpus(wildcards):
    return min(gpus_for_training(wildcards), 1)


def timing_slots(wildcards):
    return timing_gpus(wildcards) * PER_GPU


OWN_READOUTS = {method.readout for method in STUDY.catalog.methods.values()}


def evaluation_group(wildcards):
    """Name of the job on a cluster for one step of the evaluation: what follows from one training is one job.

    Clusterers that no method calls its own, which tables compare, are jobs of their own: a group asks for the sum of
    what may run side by side, and four clusterers would ask for more cores and memory than many a node has.
    """
    run = next(getattr(wildcards, name) for name in ("run", "phase", "control") if hasattr(wildcards, name))
    name = f"evaluate_{wildcards.cut}_{run}_seed{wildcards.seed}"
    readout = next((getattr(wildcards, name) for name in ("readout", "clusterer") if hasattr(wildcards, name)), None)
    return f"{name}_{readout}" if readout in STUDY.catalog.clusterers.keys() - OWN_READOUTS else name


def number_of_classes(wildcards):
    return STUDY.dataset_of(wildcards.cut)[0].images["classes"]


def clusterer_spec(wildcards):
    return canonical(STUDY.catalog.clusterers[wildcards.clusterer])


def classifier_of(wildcards):
    dataset, _ = STUDY.dataset_of(wildcards.cut)
    return STUDY.classifier(wildcards.classifier, dataset, wildcards.split)


def classifier_spec(wildcards):
    return canonical(classifier_of(wildcards))


def features_of(wildcards):
    return run_of(wildcards), wildcards.features, wildcards.split


def needs_of(wildcards):
    """What a classifier or a projection reads besides the embeddings."""
    if "classifier" in wildcards.keys():
        return classifier_of(wildcards).get("needs", ())
    return STUDY.catalog.projections[wildcards.projection].get("needs", ())


def weights_file(wildcards):
    run, features, split = features_of(wildcards)
    return run.weights(features, split) if "weights" in needs_of(wildcards) else []


def training_features(wildcards):
    run, features, _ = features_of(wildcards)
    return run.embeddings(features, "train") if "training_features" in needs_of(wildcards) else []


def validation_features(wildcards):
    run, features, _ = features_of(wildcards)
    return run.embeddings(features, "val") if "validation_features" in needs_of(wildcards) else []


def validation_option(wildcards, input):
    return f"--validation {input.validation}" if input.validation else ""


def classify_memory(wildcards, attempt):
    """Features of all rows that are read, and logits of those that are predicted, in double precision and a copy."""
    dataset, _ = STUDY.dataset_of(wildcards.cut)
    needs = needs_of(wildcards)
    read = [wildcards.split, *(split for split, kind in FEATURES_OF.items() if kind in needs)]
    width = STUDY.catalog.backbones[STUDY.backbone(dataset)]["width"] if dataset.holds == "images" else 0
    predicted = STUDY.rows(wildcards.cut, wildcards.split) * dataset.images["classes"]
    numbers = 3 * predicted + 2 * width * sum(STUDY.rows(wildcards.cut, split) for split in read)
    return rising(4000 + 8 * numbers // 10**6)(wildcards, attempt)


def weights_option(wildcards, input):
    return f"--weights {input.weights}" if input.weights else ""


def training_option(wildcards, input):
    return f"--training {input.training}" if input.training else ""


def what_is_scored(wildcards):
    return STUDY.scored(*features_of(wildcards), wildcards.readout)


def scoring(amount, of_embeddings):
    """Memory or minutes of a scorer: one that reads embeddings clusters them itself, the others count."""
    asked = lambda wildcards: of_embeddings if wildcards.readout == "embeddings" else amount
    return lambda wildcards, attempt: rising(asked(wildcards))(wildcards, attempt)


DEFINITIONS = {
    "assignments": ["metrics"],
    "predictions": ["recognition", "queues"],
    "embeddings": ["analyses", "theory", "pairs", "recognition"],
    "history": ["pace"],
    "weights": ["weight_norms"],
    "corruptions": ["corruptions"],
}


def definitions_of_metrics(wildcards):
    """The code of what a scorer measures, by what it reads."""
    return sources_of("evaluation", *DEFINITIONS[STUDY.catalog.scorers[wildcards.scorer]["reads"]])


def scorer_spec(wildcards):
    return canonical(STUDY.catalog.scorers[wildcards.scorer])


def projection_spec(wildcards):
    return canonical(STUDY.catalog.projections[wildcards.projection])


def results_folder(wildcards):
    """What commands that ask the study for paths are told, as Snakemake moves only the paths that rules name."""
    return RESULTS


def config_for(*targets, **more):
    """The configuration as a job that makes these targets sees it, so that other targets do not change its parameters."""
    return canonical({**MEANT, **more, "targets": list(targets)})


@friendly
def artefact_measurements(wildcards):
    paths = [measurement.path for measurement in STUDY.measurements(wildcards.paper, wildcards.artefact)]
    return [path for path in paths if Path(moved(path)).exists()] if STUDY.config.partial else paths


@friendly
def cell_measurements(wildcards):
    paths = [m.path for m in STUDY.cell_measurements(wildcards.method, wildcards.cut, int(wildcards.seed))]
    missing = [path for path in paths if STUDY.config.partial and not Path(moved(path)).exists()]
    if missing:
        raise LongtailError(f"{missing[0]} is not computed yet. Leave out partial: true, under which nothing is.")
    return paths


# Functions, since Snakemake looks for wildcards in what is a text: a name or path in the configuration may have braces.
def whole_config(wildcards):
    return canonical(MEANT)


def overview_config(wildcards):
    return config_for(*OVERVIEW)


def artefact_config(wildcards):
    return config_for(f"{wildcards.paper}_{wildcards.artefact}")


def table_config(wildcards):
    return config_for(f"{wildcards.paper}_{wildcards.table}")


def figure_config(wildcards):
    return config_for(f"{wildcards.paper}_{wildcards.figure}", **DRAWN)


def sources_of(room, *modules):
    """The code behind a definition or a rendering: naming it as an input makes an edit redo just that."""
    return [f"{ROOT}/longtail/{room}/{module}.py" for module in modules]


TABLE_SOURCES = [
    *sources_of("reporting", "table", "aggregate", "from_records", "spread", "grid", "formats", "markup"),
    *sources_of("records", "record", "ledger"),
]


def paper_title(wildcards):
    return STUDY.catalog.papers[wildcards.paper]["title"]


def made_with(plan):
    label = plan.label or "the papers' own budget, official protocol"
    return f"{label}; partial" if STUDY.config.partial else label


@friendly
def table_records(wildcards):
    """The records that a table may show: those on its splits."""
    return layout.records(RECORDS, STUDY.cuts(wildcards.paper, wildcards.table))


def records_folder(wildcards):
    return RECORDS


@friendly
def table_labels(wildcards):
    plan = STUDY.table(wildcards.paper, wildcards.table)
    return {"table": plan.title, "made with": made_with(plan)}


@friendly
def figure_labels(wildcards):
    plan = STUDY.figure(wildcards.paper, wildcards.figure)
    return {"figure": plan.title, "made with": made_with(plan)}
