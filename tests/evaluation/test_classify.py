"""Post-hoc rules against slow loops over rows and classes, and against numbers of the official codes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import longtail
from longtail.__main__ import main
from longtail.embedding.embeddings import write_embeddings, write_weights
from longtail.evaluation.classify import ALGORITHMS, Files
from longtail.files import read_provenance, read_table, write_table

PACKAGE = Path(longtail.__file__).parent
CLASSIFIERS = yaml.safe_load((PACKAGE.parent / "catalog" / "readouts.yaml").read_text())["classifiers"]

# Of facebookresearch/classifier-balancing, run on these numbers; logit adjustment by its formula
LOGITS = np.array([[1, -0.5, 0.3, 0.2], [0.2, 0.8, -1, 0.5], [-0.3, 0.1, 0.4, 1.2]])
LABELS = np.array([0, 2, 3])
SIZES = np.array([100, 30, 10, 2])
WEIGHTS = np.array([[0.1, -0.2, 0.3, 0.05], [0.2, 0.1, -0.1, 0.4], [-0.3, 0.2, 0.1, 0.1]])
FEATURES = np.array([[1, 2, -1, 0.5], [0.3, -0.7, 2, 1]])
TAU = {
    0.7: [[-1.137189, 1.189187, 0.097127], [1.621730, 0.322779, 0.135977]],
    1.0: [[-1.523212, 1.492405, 0.129099], [2.172233, 0.405081, 0.180739]],
}
TRAINING = np.array([[1, 2, 0], [2, 1, 0], [0, 1, 3], [1, 0, 2]])
WIDE = np.array([[1, 2, 0, 1], [2, 1, 1, 0], [0, 0, 3, 2], [1, 2, -1, 0.5]])


def write_split(path: Path, labels: np.ndarray, sizes: np.ndarray) -> None:
    shots = ["many"] * len(labels)
    table = {"row": np.arange(len(labels)), "label": labels, "shot": shots, "class_size": sizes[labels]}
    write_table(path, pa.table(table))


def write(
    folder: Path,
    embedding: np.ndarray,
    labels: np.ndarray,
    sizes: np.ndarray,
    logits: np.ndarray | None = None,
    training: tuple[np.ndarray, np.ndarray] | None = None,
    weights: np.ndarray | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> Files:
    """The files of a network's features, as embedding and splitting leave them."""
    names = ["embeddings", "test", "training", "weights", *(["validation"] if validation else [])]
    files = Files(*(folder / f"{name}.parquet" for name in names))
    if validation is not None:
        assert files.validation is not None
        write_embeddings(files.validation, validation[1], validation[0], None)
    assert files.training is not None
    assert files.weights is not None
    write_embeddings(files.embeddings, labels, embedding, logits, identity="abc")
    write_split(files.split, labels, sizes)
    if training is not None:
        write_embeddings(files.training, training[1], training[0], None)
    write_weights(files.weights, weights, None if weights is None else np.ones(len(weights)))
    return files


def classify(files: Files, classifier: str, *without: str) -> int:
    """The command, told of a classifier what its rule in the workflow tells it."""
    settings = {"name": classifier, **CLASSIFIERS[classifier]}
    given = {"embeddings": files.embeddings, "split": files.split}
    if "training_features" in settings.get("needs", ()):
        given["training"] = files.training
    if "weights" in settings.get("needs", ()):
        given["weights"] = files.weights
    grid = settings.pop("on_validation", None)
    if grid is not None and files.validation is not None:
        settings = {key: value for key, value in settings.items() if key not in grid}
        settings |= {"needs": [*settings["needs"], "validation_features"], "on_validation": grid}
        given["validation"] = files.validation
    options = [text for name, path in given.items() if name not in without for text in (f"--{name}", str(path))]
    out = str(files.embeddings.with_name("predictions.parquet"))
    return main(["job", "classify", *options, "--classifier", json.dumps(settings), "--out", out])


def decision(files: Files, rule: str, **settings: float) -> np.ndarray:
    """What the prediction of a rule is the largest of, (N, K)."""
    found, logits = ALGORITHMS[rule](files, **settings)
    assert found.shape == logits.shape
    return found


def predictions(files: Files, classifier: str) -> dict[str, list]:
    assert classify(files, classifier) == 0
    table = read_table(files.embeddings.with_name("predictions.parquet"))
    assert [str(kind) for kind in table.schema.types] == ["int64", "int64", "double"]
    return table.to_pydict()


def test_the_largest_logit_is_the_prediction_and_its_probability_the_confidence(tmp_path: Path) -> None:
    files = write(tmp_path, np.eye(3), LABELS, SIZES, logits=LOGITS)
    found = predictions(files, "classifier")
    assert found["row"] == [0, 1, 2]
    assert found["prediction"] == [0, 1, 3]
    for row, confidence in zip(LOGITS, found["confidence"], strict=True):
        assert confidence == pytest.approx(math.exp(max(row)) / sum(math.exp(value) for value in row), rel=1e-6)
    facts = read_provenance(tmp_path / "predictions.parquet")
    assert facts["classifier"] == {"name": "classifier", **CLASSIFIERS["classifier"]}
    assert facts["embeddings"]["identity"] == "abc"


def test_logit_adjustment(tmp_path: Path) -> None:
    files = write(tmp_path, np.eye(3), LABELS, np.array([100, 1, 10, 2]), logits=LOGITS)
    with pytest.raises(longtail.errors.LongtailError, match="size of each class"):
        decision(files, "logit_adjusted", tau=1.0)  # no row of class 1, whose size nobody tells
    labels = np.array([0, 1, 3, 2])
    logits = np.vstack([LOGITS, LOGITS[:1]])
    files = write(tmp_path, np.eye(4), labels, SIZES, logits=logits)
    found = decision(files, "logit_adjusted", tau=1.0)
    np.testing.assert_allclose(found[0], [1.350657, 1.054630, 2.953242, 4.462680], atol=2e-6)
    for tau in (0.0, 0.5, 1.0):
        slow = [[s - tau * math.log(n / SIZES.sum()) for s, n in zip(row, SIZES, strict=True)] for row in logits]
        np.testing.assert_allclose(decision(files, "logit_adjusted", tau=tau), slow, rtol=1e-6)
    adjusted = predictions(files, "logit-adjusted")
    assert adjusted["prediction"] == [3, 3, 3, 3]
    plain = [math.exp(row[3]) / sum(math.exp(value) for value in row) for row in logits]
    assert adjusted["confidence"] == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("tau", TAU)
def test_tau_normalization(tmp_path: Path, tau: float) -> None:
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=WEIGHTS)
    found = decision(files, "tau_normalized", tau=tau)
    np.testing.assert_allclose(found, TAU[tau], atol=2e-6)
    for i, h in enumerate(FEATURES):
        for k, w in enumerate(WEIGHTS):
            length = math.sqrt(sum(value**2 for value in w))
            assert found[i, k] == pytest.approx(sum(h * w) / length**tau, rel=1e-5)


def test_a_class_without_a_direction_is_told(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[1] = 0
    files = write(tmp_path, FEATURES, np.array([0, 1]), SIZES, weights=weights)
    with pytest.raises(longtail.errors.LongtailError, match="class 1"):
        decision(files, "tau_normalized", tau=1.0)
    assert np.isfinite(decision(files, "tau_normalized", tau=0.0)).all()


def test_tau_zero_is_the_classifier_without_its_bias_and_tau_one_tells_directions(tmp_path: Path) -> None:
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=WEIGHTS)
    np.testing.assert_allclose(decision(files, "tau_normalized", tau=0.0), FEATURES @ WEIGHTS.T, rtol=1e-5)
    once = decision(files, "tau_normalized", tau=1.0)
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=WEIGHTS * np.array([[2], [0.5], [7]]))
    np.testing.assert_allclose(decision(files, "tau_normalized", tau=1.0), once, rtol=1e-5)
    assert predictions(files, "tau-norm")["prediction"] == [1, 0]


VALUES = CLASSIFIERS["tau-norm"]["on_validation"]["tau"]


def slow_choice(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, list[float]]:
    """The tau that is best by mean class accuracy, the smallest of several, and the accuracies, by loops in float64."""
    found = []
    for tau in VALUES:
        right: dict[int, list[bool]] = {}
        for h, label in zip(features, labels, strict=True):
            logits = [sum(h * w) / math.sqrt(sum(w**2)) ** tau for w in weights]
            right.setdefault(int(label), []).append(logits.index(max(logits)) == label)
        found.append(100 * sum(sum(each) / len(each) for each in right.values()) / len(right))
    return VALUES[found.index(max(found))], found


def chosen(files: Files) -> tuple[dict[str, float], list[float]]:
    """What the command says that it chose, and how good each value was."""
    assert classify(files, "tau-norm") == 0
    facts = read_provenance(files.embeddings.with_name("predictions.parquet"))
    return facts["chosen"], facts["validation_accuracy"]


def confused(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels of classes of very different sizes, and weights that are the longer the larger their class."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2, 4], [40, 20, 9, 5])  # no row of class 3
    directions = random.normal(size=(5, 4)) + 2 * np.eye(5, 4)
    features = directions[labels] + random.normal(scale=1.2, size=(len(labels), 4))
    return features.astype(np.float32), labels, (directions * np.array([[3], [2], [1], [1], [0.5]])).astype(np.float32)


def test_tau_is_chosen_by_the_mean_class_accuracy_on_the_validation_images(tmp_path: Path) -> None:
    assert [round(0.1 * step, 1) for step in range(21)] == VALUES
    taus = set()
    for seed in range(6):
        features, labels, weights = confused(seed)
        files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=weights, validation=(features, labels))
        best, accuracies = slow_choice(features.astype(float), labels, weights.astype(float))
        found, listed = chosen(files)
        assert found == {"tau": best}
        assert listed == pytest.approx(accuracies, abs=1e-3)
        table = read_table(tmp_path / "predictions.parquet")
        assert table["prediction"].to_pylist() == decision(files, "tau_normalized", tau=best).argmax(1).tolist()
        taus.add(best)
    assert len(taus) > 1


def test_the_choice_never_looks_at_what_is_predicted(tmp_path: Path) -> None:
    """Whatever the test images and their classes are: those that are right with another tau only, or all wrong."""
    features, labels, weights = confused(3)
    best, accuracies = slow_choice(features.astype(float), labels, weights.astype(float))
    poisons = [
        (features, labels),
        (features, np.roll(labels, 20)),
        (-features, labels),
        (np.repeat(weights * 100, 3, axis=0), np.repeat([4, 2, 1, 0, 0], 3)),
    ]
    said = set()
    for test, classes in poisons:
        files = write(tmp_path, test, classes, np.arange(50, 0, -10), weights=weights, validation=(features, labels))
        found, listed = chosen(files)
        assert found == {"tau": best}
        assert listed == pytest.approx(accuracies, abs=1e-3)
        said.add(tuple(read_table(tmp_path / "predictions.parquet")["prediction"].to_pylist()))
    assert len(said) > 1
    # it does look at the validation images
    files = write(tmp_path, features, labels, np.arange(50, 0, -10), weights=weights, validation=(-features, labels))
    assert chosen(files)[1] != pytest.approx(accuracies, abs=1e-3)


def test_without_validation_images_nothing_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features, labels, weights = confused(0)
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=weights, validation=(features, labels))
    assert classify(files, "tau-norm", "validation") == 1
    assert "--validation" in capsys.readouterr().err
    assert not (tmp_path / "predictions.parquet").exists()
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, weights=weights)
    assert classify(files, "tau-norm") == 0
    facts = read_provenance(tmp_path / "predictions.parquet")
    assert facts["classifier"]["tau"] == 1
    assert "chosen" not in facts


def slow_distances(training: np.ndarray, labels: np.ndarray, features: np.ndarray) -> list[list[float]]:
    """Squared distances of centred unit features to the means of the classes' centred unit features."""

    def unit(x: np.ndarray) -> np.ndarray:
        length = math.sqrt(sum(value**2 for value in x))
        return x / length if length else x

    centre = sum(training) / len(training)
    means = []
    for k in range(max(labels) + 1):
        rows = [unit(x - centre) for x, label in zip(training, labels, strict=True) if label == k]
        means.append(sum(rows) / len(rows))
    return [[sum((unit(x - centre) - mean) ** 2) for mean in means] for x in features]


def test_features_that_are_not_read_at_once_have_the_same_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.array([0, 0, 1, 1])
    files = write(tmp_path, np.array([[1.5, 1, 1]]), np.array([0]), SIZES, training=(TRAINING, labels))
    whole = decision(files, "nearest_class_mean")
    for size in (1, 3):
        monkeypatch.setattr("longtail.evaluation.classify.ROWS_AT_ONCE", size)
        np.testing.assert_array_equal(decision(files, "nearest_class_mean"), whole)


def test_the_nearest_class_mean(tmp_path: Path) -> None:
    labels = np.array([0, 0, 1, 1])
    query = np.array([[1.5, 1, 1], [0, 0, 4]])
    files = write(tmp_path, query, np.array([0, 1]), SIZES, training=(TRAINING, labels))
    found = decision(files, "nearest_class_mean")
    np.testing.assert_allclose(-found[0], [0.547704, 2.860851], atol=2e-6)
    np.testing.assert_allclose(-found, slow_distances(TRAINING.astype(float), labels, query.astype(float)), rtol=1e-6)
    assert predictions(files, "ncm")["prediction"] == [0, 1]


sixteenths = st.integers(-32, 32).map(lambda value: value / 16)


@given(
    training=arrays(np.float64, (7, 3), elements=sixteenths),
    query=arrays(np.float64, (3, 3), elements=sixteenths),
    sizes=arrays(np.int64, 3, elements=st.integers(1, 500)),
    tau=st.floats(0, 2),
)
def test_every_rule_is_what_loops_make_of_it(
    tmp_path_factory: pytest.TempPathFactory, training: np.ndarray, query: np.ndarray, sizes: np.ndarray, tau: float
) -> None:
    labels = np.array([0, 1, 2, 0, 1, 0, 2])
    weights = training[:3] + 4 * np.eye(3)  # none of length zero
    files = write(tmp_path_factory.mktemp("rules"), query, np.arange(3), sizes, query, (training, labels), weights)
    lengths = [math.sqrt(sum(w**2)) for w in weights]
    slow = [[sum(h * w) / length**tau for w, length in zip(weights, lengths, strict=True)] for h in query]
    np.testing.assert_allclose(decision(files, "tau_normalized", tau=tau), slow, rtol=1e-4, atol=1e-5)
    slow = [[s - tau * math.log(n / sum(sizes)) for s, n in zip(row, sizes, strict=True)] for row in query]
    np.testing.assert_allclose(decision(files, "logit_adjusted", tau=tau), slow, atol=1e-12)
    found = decision(files, "nearest_class_mean")
    np.testing.assert_allclose(-found, slow_distances(training, labels, query), atol=1e-6)


@pytest.mark.parametrize(
    ("classifier", "without", "message"),
    [
        ("tau-norm", "weights", "give them with --weights"),
        ("tau-norm", "", "holds no classifier"),
        ("ncm", "training", "give --training"),
        ("ncm", "", "has no row of class 1"),
        ("classifier", "", "no column 'logits'"),
        ("logit-adjusted", "", "no column 'logits'"),
    ],
)
def test_what_a_rule_lacks_is_named(
    tmp_path: Path, classifier: str, without: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write(tmp_path, FEATURES, np.array([0, 2]), SIZES, training=(WIDE, np.array([0, 0, 2, 2])))
    assert classify(files, classifier, without) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "predictions.parquet").exists()


def test_another_number_of_classes_or_of_features_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.array([0, 1, 2, 3])
    files = write(tmp_path, np.eye(4), labels, SIZES, logits=np.eye(4, 5), training=(TRAINING, np.array([0, 0, 1, 1])))
    assert classify(files, "logit-adjusted") == 1
    assert "training images of 4 classes, but there are 5 logits" in capsys.readouterr().err
    assert classify(files, "ncm") == 1
    assert "embeddings of 4 numbers" in capsys.readouterr().err
    files = write(tmp_path, np.eye(4), labels, SIZES, weights=np.ones((4, 3)))
    assert classify(files, "tau-norm") == 1
    assert "embeddings of 4 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "mine", "algorithm": "argmin"}, "Did you mean 'argmax'"),
        ({"name": "mine"}, "algorithm"),
        ({"name": "mine", "algorithm": "tau_normalized"}, "lacks the setting 'tau'"),
        ({"name": "mine", "algorithm": "argmax", "tau": 1}, "There is no setting"),
    ],
)
def test_bad_classifiers_are_named(
    tmp_path: Path, settings: dict, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write(tmp_path, np.eye(3), LABELS, SIZES, logits=LOGITS)
    arguments = ["--embeddings", files.embeddings, "--split", files.split, "--classifier", json.dumps(settings)]
    assert main(["job", "classify", *map(str, arguments), "--out", str(tmp_path / "p.parquet")]) == 1
    assert message in capsys.readouterr().err


def test_embeddings_of_another_split_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path, np.eye(3), LABELS, SIZES, logits=LOGITS)
    write_split(files.split, LABELS[::-1], SIZES)
    assert classify(files, "classifier") == 1
    assert "rows of the split" in capsys.readouterr().err


def test_classifying_loads_no_torch(tmp_path: Path) -> None:
    files = write(tmp_path, np.eye(3), LABELS, SIZES, logits=LOGITS)
    settings = json.dumps({"name": "classifier", **CLASSIFIERS["classifier"]})
    program = (
        "import sys; from longtail.__main__ import main\n"
        f"assert main(['job', 'classify', '--embeddings', {str(files.embeddings)!r}, '--split', {str(files.split)!r},"
        f" '--classifier', {settings!r}, '--out', {str(tmp_path / 'p.parquet')!r}]) == 0\n"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(PACKAGE.parent)})


def test_every_classifier_of_the_catalogue_runs(tmp_path: Path) -> None:
    files = write(
        tmp_path, FEATURES, np.array([0, 1]), SIZES,
        logits=LOGITS[:2, :2], training=(WIDE, np.array([0, 0, 1, 1])), weights=WEIGHTS,
    )  # fmt: skip
    for classifier in CLASSIFIERS:
        assert len(predictions(files, classifier)["prediction"]) == 2, classifier
