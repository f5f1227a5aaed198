from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.data.longtail import among_last, class_sizes, first_rows, shot_groups, shuffled_rows
from longtail.errors import LongtailError
from longtail.evaluation.recognition import strict_shots


@pytest.mark.parametrize(
    ("head", "ratio", "sizes"),
    [
        (5000, 5, [5000, 4181, 3496, 2924, 2445, 2044, 1709, 1429, 1195, 1000]),
        (5000, 10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (5000, 100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),
        (1300, 5, [1300, 1087, 909, 760, 635, 531, 444, 371, 310, 260]),
        (1300, 10, [1300, 1006, 779, 603, 467, 361, 280, 216, 167, 130]),
        (5000, 1, [5000] * 10),
        (2043, 1, [2043] * 10),
    ],
)
def test_ten_classes_have_the_published_sizes(head, ratio, sizes):
    assert class_sizes(head, 10, ratio).tolist() == sizes


def test_twenty_and_two_hundred_classes_have_the_published_sizes():
    cifar20 = [
        2500,
        2214,
        1961,
        1737,
        1539,
        1363,
        1208,
        1070,
        948,
        839,
        744,
        659,
        583,
        517,
        458,
        405,
        359,
        318,
        282,
        250,
    ]
    assert class_sizes(2500, 20, 10).tolist() == cifar20
    at_five = class_sizes(2500, 20, 5).tolist()
    assert (at_five[:3], at_five[-2:]) == ([2500, 2296, 2110], [544, 500])
    tiny = class_sizes(500, 200, 10).tolist()
    assert (tiny[:5], tiny[-5:]) == ([500, 494, 488, 482, 477], [52, 51, 51, 50, 50])


@pytest.mark.parametrize(
    ("head", "classes", "ratio", "total"),
    [
        (5000, 10, 1, 50000),
        (5000, 10, 2, 36223),
        (5000, 10, 5, 25423),
        (5000, 10, 10, 20431),
        (5000, 10, 20, 17023),
        (5000, 10, 50, 13996),
        (5000, 10, 100, 12406),
        (6000, 10, 1, 60000),
        (2500, 20, 5, 25114),
        (2500, 20, 10, 19954),
        (3000, 20, 1, 60000),
        (1300, 10, 5, 6607),
        (1300, 10, 10, 5309),
        (500, 200, 10, 39072),
        (500, 100, 100, 10847),
    ],
)
def test_totals_are_the_published_ones(head, classes, ratio, total):
    assert class_sizes(head, classes, ratio).sum() == total


def test_tiny_imagenet_sizes_are_those_of_a_published_cut(shared_data):
    labels = pq.read_table(shared_data / "tiny_imagenet" / "train_lt10.parquet", columns=["label"]).column("label")
    assert np.bincount(labels.to_numpy()).tolist() == class_sizes(500, 200, 10).tolist()


@given(st.integers(2, 200), st.integers(1, 10_000), st.floats(1, 200))
def test_sizes_fall_from_the_head_to_the_ratio(classes, head, ratio):
    if head / ratio < 1:
        with pytest.raises(LongtailError, match="empty"):
            class_sizes(head, classes, ratio)
        return
    sizes = class_sizes(head, classes, ratio)
    assert sizes.dtype == np.int64
    assert len(sizes) == classes
    assert sizes[0] == head
    assert sizes[-1] == math.floor(head / ratio)
    assert (np.diff(sizes) <= 0).all()
    geometric = sum(head * ratio ** (-k / (classes - 1)) for k in range(classes))
    assert geometric - classes - 1 < sizes.sum() <= geometric + 1e-6 * geometric


@given(st.integers(2, 40), st.integers(100, 10_000), st.integers(1, 100))
def test_sizes_are_rounded_down_exactly(classes, head, ratio):
    """n_k <= head ratio^(-k/(K-1)) < n_k + 1, that is n_k^(K-1) ratio^k <= head^(K-1), in integers."""
    for k, size in enumerate(class_sizes(head, classes, ratio).tolist()):
        power = Fraction(head) ** (classes - 1) / Fraction(ratio) ** k
        assert size ** (classes - 1) <= power
        if (size + 1) ** (classes - 1) != power:  # a value that is whole may be rounded to the one below
            assert power < (size + 1) ** (classes - 1)


def test_the_last_class_is_not_left_to_rounding():
    """At these ratios the power of the formula falls just short of the whole number."""
    missed = 0
    for ratio in range(1, 101):
        decay = (1 / ratio) ** (1 / 9)
        missed += math.floor(5000 * decay**9) != 5000 // ratio
        assert class_sizes(5000, 10, ratio)[-1] == 5000 // ratio
    assert missed > 0


def sizes_of_ldam(head, classes, factor):
    """As kaidic/LDAM-DRW counts, one class at a time; its ``imb_factor`` is one over the ratio."""
    return [int(head * (factor ** (k / (classes - 1.0)))) for k in range(classes)]


@pytest.mark.parametrize(
    ("head", "classes", "ratio", "factor", "total", "last"),
    [
        (5000, 10, 10, 0.1, 20431, 500),
        (5000, 10, 50, 0.02, 13996, 100),
        (5000, 10, 100, 0.01, 12406, 50),
        (500, 100, 10, 0.1, 19573, 50),
        (500, 100, 50, 0.02, 12608, 10),
        (500, 100, 100, 0.01, 10847, 5),
    ],
)
def test_shuffled_tails_have_the_sizes_of_the_recognition_papers(head, classes, ratio, factor, total, last):
    sizes = class_sizes(head, classes, ratio, "shuffled-longtail").tolist()
    assert sizes == sizes_of_ldam(head, classes, factor)
    assert (sum(sizes), sizes[-1]) == (total, last)


@given(st.integers(2, 200), st.integers(1, 10_000), st.integers(1, 200))
def test_shuffled_tails_are_those_of_the_formula_at_any_ratio(classes, head, ratio):
    expected = sizes_of_ldam(head, classes, 1 / ratio)
    if expected[-1] < 1:
        with pytest.raises(LongtailError, match="empty"):
            class_sizes(head, classes, ratio, "shuffled-longtail")
    else:
        assert class_sizes(head, classes, ratio, "shuffled-longtail").tolist() == expected


def test_the_two_constructions_round_a_whole_number_each_as_its_code():
    """500 (1/64)^(66/99) is 31.25, but (1/64)^(33/99) is a quarter, which one of the powers misses."""
    tails = [class_sizes(500, 100, 64, construction) for construction in ("longtail", "shuffled-longtail")]
    assert [int(sizes[33]) for sizes in tails] == [124, 125]
    assert (np.delete(tails[0], 33) == np.delete(tails[1], 33)).all()


def test_a_construction_without_a_formula_is_refused():
    with pytest.raises(LongtailError, match="no long tail 'list'"):
        class_sizes(500, 10, 10, "list")


@pytest.mark.parametrize("ratio", [0.99, 0, -5, math.nan, math.inf])
def test_ratios_below_one_are_refused(ratio):
    with pytest.raises(LongtailError, match="at least 1"):
        class_sizes(5000, 10, ratio)


def test_one_class_has_no_tail():
    with pytest.raises(LongtailError, match="at least 2 classes"):
        class_sizes(5000, 1, 10)


@given(st.lists(st.integers(0, 4), min_size=30, max_size=80), st.data())
def test_rows_are_the_first_of_each_class(labels, data):
    available = np.bincount(labels, minlength=5)
    sizes = np.array([data.draw(st.integers(0, int(count))) for count in available])
    rows = first_rows(np.array(labels), sizes).tolist()
    expected = []
    for k in range(5):
        expected += [row for row, label in enumerate(labels) if label == k][: sizes[k]]
    assert rows == expected


def rows_of_ldam(labels, sizes):
    """As kaidic/LDAM-DRW draws: the global generator, seeded once, one class after the other."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(0)  # noqa: NPY002
        kept = []
        for k, size in enumerate(sizes):
            rows = np.where(np.array(labels) == k)[0]
            np.random.shuffle(rows)  # noqa: NPY002
            kept += rows[:size].tolist()
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return kept


@given(st.lists(st.integers(0, 4), min_size=30, max_size=80), st.data())
def test_shuffled_rows_are_drawn_as_the_recognition_papers_draw_them(labels, data):
    available = np.bincount(labels, minlength=5)
    sizes = np.array([data.draw(st.integers(0, int(count))) for count in available])
    before = np.array(labels)
    assert shuffled_rows(before, sizes).tolist() == rows_of_ldam(labels, sizes)
    assert before.tolist() == labels


@given(st.lists(st.integers(0, 4), min_size=30, max_size=80), st.data())
def test_shuffled_rows_are_nested(labels, data):
    more = np.array([data.draw(st.integers(0, int(count))) for count in np.bincount(labels, minlength=5)])
    fewer = np.array([data.draw(st.integers(0, int(size))) for size in more])
    larger, smaller = (np.split(shuffled_rows(np.array(labels), n), np.cumsum(n)[:-1]) for n in (more, fewer))
    for many, few in zip(larger, smaller, strict=True):
        assert many[: len(few)].tolist() == few.tolist()


@pytest.mark.parametrize(
    ("classes", "per_class", "firsts", "lasts", "checksum"),
    [
        (
            10,
            5000,
            {0: [398, 3833, 4836, 4572, 636], 1: [597, 332, 521, 3935, 4800], 9: [2204, 3816, 2206, 2507, 1926]},
            {1: 4973, 9: 1162},
            75_153_627,
        ),
        (
            100,
            500,
            {0: [90, 254, 283, 445, 461], 1: [277, 307, 436, 88, 261], 99: [348, 153, 363, 361, 299]},
            {1: 441, 99: 299},
            56_872_736,
        ),
    ],
)
def test_cifar_keeps_the_published_positions(classes, per_class, firsts, lasts, checksum):
    """Positions among the images of a class at ratio 100, which depend on the number of images per class only."""
    labels = np.tile(np.arange(classes), per_class)  # row // classes is then the position within the class
    sizes = class_sizes(per_class, classes, 100, "shuffled-longtail")
    kept = np.split(shuffled_rows(labels, sizes) // classes, np.cumsum(sizes)[:-1])
    assert {k: kept[k][:5].tolist() for k in firsts} == firsts
    assert {k: int(kept[k][-1]) for k in lasts} == lasts
    assert sum((k + 1) * int(positions.sum()) for k, positions in enumerate(kept)) == checksum


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 3))
def test_rows_are_held_out_from_the_end_of_each_class(labels, count):
    labels = labels + [0, 1, 2, 3] * count
    expected = set()
    for k in range(4):
        expected |= set([row for row, label in enumerate(labels) if label == k][-count:])
    assert set(np.flatnonzero(among_last(np.array(labels), count, 4)).tolist()) == expected


def test_more_cannot_be_held_out_than_there_is():
    with pytest.raises(LongtailError, match=r"1 of 2 classes have .* the 2 that are held out .*: class 1 has 1"):
        among_last(np.array([0, 0, 1, 0]), 2, 2)


@pytest.mark.parametrize("rows", [first_rows, shuffled_rows])
def test_a_class_that_is_too_small_is_an_error(rows):
    with pytest.raises(LongtailError, match=r"1 of 2 classes have fewer .*: class 1 has 1 of 2"):
        rows(np.array([0, 0, 1, 0]), np.array([2, 2]))
    with pytest.raises(LongtailError, match="labels up to 2"):
        rows(np.array([0, 1, 2]), np.array([1, 1]))


def test_shots_go_by_size():
    sizes = np.array([5, 50, 20, 10, 40, 30, 60, 70, 80, 90])
    groups = shot_groups(sizes, [3, 4, 3])
    assert [sorted(sizes[groups == name].tolist()) for name in ("many", "medium", "few")] == [
        [70, 80, 90],
        [30, 40, 50, 60],
        [5, 10, 20],
    ]


def test_shots_of_equal_classes_go_by_label():
    assert shot_groups(np.full(10, 7)).tolist() == ["many"] * 3 + ["medium"] * 4 + ["few"] * 3


@pytest.mark.parametrize(
    ("classes", "shares"), [(10, (3, 4, 3)), (20, (6, 8, 6)), (200, (60, 80, 60)), (4, (1, 2, 1)), (7, (2, 3, 2))]
)
def test_shots_default_to_three_four_three(classes, shares):
    groups = shot_groups(class_sizes(1000, classes, 10)).tolist()
    assert tuple(groups.count(name) for name in ("many", "medium", "few")) == shares


@pytest.mark.parametrize("shots", [[3, 4, 4], [10], [11, -1, 0]])
def test_shots_must_cover_the_classes(shots):
    with pytest.raises(LongtailError, match="add up to 10"):
        shot_groups(np.full(10, 7), shots)


@pytest.mark.parametrize(
    ("head", "classes", "ratio", "groups"),
    [
        (500, 100, 100, (35, 35, 30)),
        (500, 100, 50, (41, 41, 18)),
        (500, 100, 10, (69, 31, 0)),
        (5000, 10, 100, (8, 2, 0)),
        (5000, 10, 50, (9, 1, 0)),
        (5000, 10, 10, (10, 0, 0)),
    ],
)
def test_strict_shots_are_those_of_the_recognition_papers(head, classes, ratio, groups):
    found = strict_shots(class_sizes(head, classes, ratio, "shuffled-longtail")).tolist()
    assert tuple(found.count(name) for name in ("many", "medium", "few")) == groups


def test_strict_shots_have_their_edges_in_the_middle():
    assert strict_shots(np.array([101, 100, 20, 19])).tolist() == ["many", "medium", "medium", "few"]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_strict_shots_go_by_the_number_of_images_alone(sizes):
    expected = ["many" if n > 100 else "few" if n < 20 else "medium" for n in sizes]
    assert strict_shots(np.array(sizes)).tolist() == expected
