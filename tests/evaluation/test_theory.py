"""The theorems' quantities are the papers' formulas; the theorems hold where their assumptions do, and can fail."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from longtail.evaluation.theory import (
    contrastive_contributions,
    domination,
    expected_contributions,
    loss_gap,
    mixed_contributions,
    selection_space,
)
from longtail.splits import class_sizes

few = settings(deadline=None, max_examples=25)


def views(seed: int, images: int, width: int = 4) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = random.normal(size=(2 * images, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def positive(i: int, images: int) -> int:
    return (i + images) % (2 * images)


def equally_similar(sizes: list[int], within: float, between: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors whose cosines are exactly ``within`` in a class and ``between`` across classes."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    cosines = np.where(labels[:, None] == labels, within, between)
    np.fill_diagonal(cosines, 1)
    values, directions = np.linalg.eigh(cosines)
    return directions * np.sqrt(values.clip(0)), labels


@few
@given(seed=st.integers(0, 1000), images=st.integers(1, 7))
def test_h_cl_is_equation_6(seed: int, images: int) -> None:
    v = views(seed, images)
    expected = [
        sum(float(v[i] @ (v[k] - v[positive(i, images)])) for k in range(2 * images) if k != i)
        for i in range(2 * images)
    ]
    np.testing.assert_allclose(contrastive_contributions(v), expected, atol=1e-10)


@few
@given(seed=st.integers(0, 1000), images=st.integers(1, 7), mixes=st.integers(1, 5))
def test_h_cm_is_equation_8(seed: int, images: int, mixes: int) -> None:
    v = views(seed, images)
    tags = np.random.default_rng(seed).integers(0, mixes, images)
    expected = []
    for i in range(2 * images):
        own = [k + images * (i >= images) for k in range(images) if tags[k] == tags[i % images]]
        other = [positive(k, images) for k in own]
        expected.append(
            sum(float(v[i] @ v[k]) for k in range(2 * images))
            - sum(float(v[i] @ v[k]) for k in own)
            - (2 * mixes + 1) * sum(float(v[i] @ v[k]) for k in other)
        )
    np.testing.assert_allclose(mixed_contributions(v, tags, mixes), expected, atol=1e-10)


@few
@given(seed=st.integers(0, 1000), images=st.integers(1, 4), mixes=st.integers(1, 3))
def test_the_expected_h_cm_is_the_mean_over_all_tags(seed: int, images: int, mixes: int) -> None:
    v = views(seed, images)
    every = [mixed_contributions(v, np.array(t), mixes) for t in itertools.product(range(mixes), repeat=images)]
    np.testing.assert_allclose(expected_contributions(v, mixes), np.mean(every, axis=0), atol=1e-10)


sizes_of_a_tail = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(lambda sizes: sorted(sizes, reverse=True))
similarities = st.tuples(st.floats(0, 0.8), st.floats(0.05, 0.2)).map(lambda pair: (pair[0], sum(pair)))


@few
@given(sizes=sizes_of_a_tail, similar=similarities, tags=st.integers(1, 50))
def test_equations_11_and_13_are_exact_under_the_assumptions(
    sizes: list[int], similar: tuple[float, float], tags: int
) -> None:
    assume(sizes[0] > 1)
    between, within = similar
    vectors, labels = equally_similar(sizes, within, between)
    found = loss_gap(vectors, labels, tags=tags, samples=1, seed=0)
    stated = (sizes[0] - sizes[-1]) / len(labels) * (within - between)
    assert found.contrastive == pytest.approx(stated, abs=1e-9)
    assert found.contrastive_stated == pytest.approx(stated, abs=1e-9)
    assert found.mixed_stated == pytest.approx(-stated / tags, abs=1e-9)
    doubled = np.concatenate([vectors, vectors])
    h_cm = expected_contributions(doubled, tags) / len(doubled)
    head, tail = h_cm[0], h_cm[len(labels) - 1]
    assert head - tail == pytest.approx(-stated / tags, abs=1e-9)


@few
@given(sizes=sizes_of_a_tail, similar=similarities, tags=st.integers(1, 50))
def test_conmix_theorem_1_holds_for_every_pair_under_its_assumptions(
    sizes: list[int], similar: tuple[float, float], tags: int
) -> None:
    assume(sizes[0] > sizes[-1])
    vectors, labels = equally_similar(sizes, similar[1], similar[0])
    assert loss_gap(vectors, labels, tags=tags, samples=1, seed=0).pairs == 1


def test_drawn_tags_come_close_to_their_expectation() -> None:
    vectors, labels = equally_similar([30, 10, 5], 0.6, 0.1)
    found = loss_gap(vectors, labels, tags=4, samples=15000, seed=0)
    assert found.holds
    assert found.mixed == pytest.approx(found.mixed_stated, abs=0.02)
    assert found.mixed < 0 < found.contrastive


def test_conmix_theorem_1_fails_where_classes_are_less_similar_than_others() -> None:
    """s_w < s_b: the head is punished least."""
    vectors, labels = equally_similar([12, 3], 0.1, 0.4)
    found = loss_gap(vectors, labels, tags=5, samples=900, seed=0)
    assert not found.holds
    assert found.pairs == 0
    assert found.contrastive < 0


def test_conmix_theorem_1_fails_where_the_tail_is_much_more_compact() -> None:
    """One s_w for all classes is what the theorem assumes; here it is 0 in the head and 1 in the tail."""
    vectors = np.vstack([np.eye(9)[:6], np.tile(np.eye(9)[8], (4, 1))])
    found = loss_gap(vectors, np.repeat([0, 1], [6, 4]), tags=5, samples=900, seed=0)
    assert not found.holds
    assert found.pairs == 0
    assert found.contrastive < 0 < found.contrastive_stated


def test_the_share_of_pairs_is_that_of_a_loop() -> None:
    random = np.random.default_rng(3)
    vectors, labels = random.normal(size=(14, 3)), np.repeat([0, 1, 2], [6, 4, 4])
    found = loss_gap(vectors, labels, tags=3, samples=1, seed=0)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    both = np.vstack([unit, unit])
    h_cl, h_cm = contrastive_contributions(both), expected_contributions(both, 3)
    held = [h_cm[h] - h_cm[t] < h_cl[h] - h_cl[t] for h in range(6) for t in range(10, 14)]
    assert 0 < np.mean(held) < 1
    assert found.pairs == pytest.approx(np.mean(held))


def test_lengths_do_not_matter_and_classes_without_rows_are_left_out() -> None:
    vectors, labels = equally_similar([6, 2], 0.5, 0.1)
    found = loss_gap(vectors, labels, tags=3, samples=5, seed=0)
    scaled = loss_gap(vectors * np.arange(1, 9)[:, None], 2 * labels + 1, tags=3, samples=5, seed=0)
    np.testing.assert_allclose(
        [scaled.contrastive, scaled.mixed, scaled.contrastive_stated],
        [found.contrastive, found.mixed, found.contrastive_stated],
    )


def test_without_two_rows_of_a_class_nothing_is_stated() -> None:
    found = loss_gap(np.eye(3), np.arange(3), tags=2, samples=1, seed=0)
    assert np.isnan(found.contrastive_stated)
    assert found.contrastive == 0


@st.composite
def assignments(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Mini-clusters of mostly one class and of about one size: what the theorem asks for, more or less."""
    size = draw(st.integers(3, 9))
    labels, clusters = [], []
    for j, owner in enumerate(draw(st.lists(st.integers(0, 3), min_size=2, max_size=14))):
        rows = size + draw(st.integers(0, 1))
        strangers = draw(st.lists(st.integers(0, 3), max_size=2))
        labels += [owner] * (rows - len(strangers)) + strangers
        clusters += [j] * rows
    return np.array(labels), np.array(clusters)


anything = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=40).map(
    lambda rows: tuple(np.array(column) for column in zip(*rows, strict=True))
)


@given(st.one_of(assignments(), anything))
def test_domination_equals_loops_over_clusters_and_pairs(partition: tuple[np.ndarray, np.ndarray]) -> None:
    labels, clusters = partition
    members = [labels[clusters == j].tolist() for j in sorted(set(clusters.tolist()))]
    purity = min(Fraction(max(map(inside.count, inside)), len(inside)) for inside in members)
    classes = range(labels.max() + 1)
    owned = [[c for c in members if Fraction(c.count(k), len(c)) >= purity] for k in classes]
    rows = [labels.tolist().count(k) for k in classes]
    outside = [rows[k] - sum(inside.count(k) for inside in owned[k]) for k in classes]
    smallest, largest = min(map(len, members)), max(map(len, members))

    found = domination(labels, clusters)
    assert (found.purity, found.smallest, found.largest) == (float(purity), smallest, largest)
    assert found.sizes.tolist() == rows
    assert found.dominated.tolist() == list(map(len, owned))
    assert found.outside.tolist() == outside
    for i, j in itertools.product(classes, repeat=2):
        if rows[i] <= rows[j]:
            assert np.isnan(found.bounds[i, j])
            assert not found.covered[i, j]
        elif rows[i] == outside[i]:
            assert np.isinf(found.bounds[i, j])
            assert not found.covered[i, j]
        else:
            bound = Fraction(rows[j] * largest, (rows[i] - outside[i]) * smallest)
            assert found.bounds[i, j] == pytest.approx(float(bound))
            assert found.covered[i, j] == (purity > bound)
            assert found.ordered[i, j] == (len(owned[i]) > len(owned[j]))


@given(st.one_of(assignments(), anything))
def test_miniclustering_theorem_1_has_no_violation(partition: tuple[np.ndarray, np.ndarray]) -> None:
    found = domination(*partition)
    assert found.violations == 0
    assert (found.dominated >= found.at_least - 1e-9).all()
    assert (found.dominated <= found.at_most + 1e-9).all()


@settings(deadline=None, max_examples=40)
@given(assignments())
def test_miniclustering_theorem_1_is_not_empty(partition: tuple[np.ndarray, np.ndarray]) -> None:
    found = domination(*partition)
    assume(found.covered.any())
    assert found.ordered[found.covered].all()


def test_more_mini_clusters_are_not_certain_where_the_bound_is_not_reached() -> None:
    """Class 0 is larger, but all of it is one mini-cluster: S_max / S_min is too large for any purity."""
    found = domination(np.repeat([0, 1], [9, 6]), np.repeat([0, 1, 2], [9, 3, 3]))
    assert found.dominated.tolist() == [1, 2]
    assert found.bounds[0, 1] == 6 * 9 / (9 * 3)
    assert not found.covered.any()
    assert not found.ordered.any()
    assert found.violations == 0


def test_a_pair_at_the_bound_is_not_covered() -> None:
    """ρ = 1 = N_j S_max / (N_i S_min), and one mini-cluster each."""
    found = domination(np.repeat([0, 1], [7, 3]), np.repeat([0, 1], [7, 3]))
    assert found.bounds[0, 1] == found.purity == 1
    assert not found.covered.any()


def test_a_count_that_contradicts_the_theorem_is_a_violation() -> None:
    from dataclasses import replace

    found = domination(np.repeat([0, 1], [9, 3]), np.repeat([0, 1, 2, 3], 3))
    assert found.covered[0, 1]
    assert found.violations == 0
    assert replace(found, dominated=np.array([1, 1])).violations == 1


# --- GloCo, Proposition 1 ---------------------------------------------------------------------------------------------


def ways(m: Fraction, k: int) -> Fraction:
    """C(m, k) for m that need not be whole, times k!."""
    product = Fraction(1)
    for h in range(k):
        product *= m - h
    return product


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=7), share=st.integers(1, 6), k=st.sampled_from([1, 2, 3, 6])
)
def test_selection_space_equals_loops_over_pairs_of_classes(sizes: list[int], share: int, k: int) -> None:
    """And no pair of classes violates the proposition, whatever their sizes."""
    labels = np.repeat(np.arange(0, 2 * len(sizes), 2), sizes)  # classes without rows do not count
    batch_size = max(1, len(labels) // share)
    found = selection_space(labels, batch_size=batch_size, positives=k)
    inside = [Fraction(size * batch_size, len(labels)) for size in sizes]
    pairs = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if sizes[i] > sizes[j]]
    defined = [(i, j) for i, j in pairs if inside[j] >= k]
    assert (found.pairs, found.defined, found.violations) == (len(pairs), len(defined), 0)
    for i, j in defined:
        assert ways(inside[i], k) * ways(Fraction(sizes[j]), k) >= ways(Fraction(sizes[i]), k) * ways(inside[j], k)
    if not defined:
        assert np.isnan(found.batch_ratio)
        assert np.isnan(found.global_ratio)
        return
    i = max(range(len(sizes)), key=sizes.__getitem__)
    j = min((j for _, j in defined), key=sizes.__getitem__)
    assert found.batch_ratio == pytest.approx(float(ways(inside[i], k) / ways(inside[j], k)))
    assert found.global_ratio == pytest.approx(float(ways(Fraction(sizes[i]), k) / ways(Fraction(sizes[j]), k)))


@pytest.mark.parametrize(("head", "classes", "undefined"), [(5000, 10, 3), (500, 100, 70)])
def test_most_tail_classes_of_cifar_have_fewer_than_three_images_in_a_batch(
    head: int, classes: int, undefined: int
) -> None:
    """At ratio 100, so the proposition says nothing of them."""
    sizes = class_sizes(head, classes, 100)
    found = selection_space(np.repeat(np.arange(classes), sizes), batch_size=256, positives=3)
    assert sum(size * 256 < 3 * sum(sizes) for size in sizes) == undefined
    assert found.violations == 0
    assert found.batch_ratio > found.global_ratio
    larger = [(i, j) for i in range(classes) for j in range(classes) if sizes[i] > sizes[j]]
    assert found.pairs == len(larger)
    assert found.defined == sum(j < classes - undefined for _, j in larger)


def test_in_a_batch_larger_than_the_training_set_the_proposition_is_violated() -> None:
    """t < 1, which the proof excludes: the count is not zero by construction."""
    labels = np.repeat([0, 1], [9, 6])
    assert selection_space(labels, batch_size=15, positives=3).violations == 0
    assert selection_space(labels, batch_size=30, positives=3).violations == 1
