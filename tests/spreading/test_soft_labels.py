"""Soft labels: when they are smoothed, and what must hold of them wherever they come from."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shards import shards
from sklearn.model_selection import KFold

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.label_set import LabelSet
from fewlabels.pool import Pool
from fewlabels.run import Local
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import confident_labels, soft_labels


def two_moons(count: int = 300) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    from sklearn.datasets import make_moons

    features, labels = make_moons(count, noise=0.06, random_state=0)
    return features.astype(np.float32), labels.astype(np.uint8)


def soft(rows: NDArray[np.int64], labels: NDArray[np.uint8], gamma: float) -> tuple[NDArray[np.float32], float]:
    features, _ = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    classifier = KernelRidgeClassifier(gamma=gamma, classes=range(2))
    return soft_labels(features, joined, rows, labels, classifier, random_state=0)


def test_smoothing_is_taken_where_it_helps_the_bought_labels() -> None:
    """A kernel as wide as the data draws a straight line through the moons: neighbours know better."""
    _, truth = two_moons()
    rows = np.random.default_rng(1).choice(300, 40, replace=False)
    wide, weight = soft(rows, truth[rows], gamma=0.05)
    assert weight == 0.85
    np.testing.assert_allclose(wide.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(wide[rows], np.eye(2)[truth[rows]])
    features, _ = two_moons()
    plain = KernelRidgeClassifier(gamma=0.05).fit(features[rows], truth[rows]).predict(features)
    assert np.mean(wide.argmax(axis=1) == truth) > np.mean(plain == truth)


def test_smoothing_is_left_where_labels_are_no_likelier_among_neighbours() -> None:
    """Labels by lot: a neighbour's tell nothing, and the more certain an answer is, the more it costs."""
    weights = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        rows, labels = random.choice(300, 150, replace=False), random.integers(0, 2, 150).astype(np.uint8)
        weights.append(soft(rows, labels, gamma=0.05)[1])
    assert weights.count(0) >= 4


@pytest.mark.parametrize("count", [1, 3, 12])
def test_one_class_alone_leaves_no_gap(count: int) -> None:
    probabilities, _ = soft(np.arange(count), np.zeros(count, np.uint8), gamma=1.0)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(axis=1) == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_labels_than_folds_are_not_smoothed(count: int) -> None:
    _, truth = two_moons()
    rows = np.array([0, 150, 40, 290])[:count]
    probabilities, weight = soft(rows, truth[rows], gamma=1.0)
    assert weight == 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities[rows], np.eye(2)[truth[rows]])


def test_the_classifier_of_the_caller_is_left_alone() -> None:
    features, truth = two_moons()
    classifier = KernelRidgeClassifier(classes=range(2))
    joined = neighbour_graph(nearest_neighbours(features))
    soft_labels(features, joined, np.arange(0, 300, 10), truth[::10], classifier, random_state=0)
    assert not hasattr(classifier, "dual_coef_")


def test_the_order_of_the_classes_changes_nothing() -> None:
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    rows = np.random.default_rng(1).choice(300, 40, replace=False)
    found = {}
    for classes in ([0, 1, 2], [2, 0, 1]):
        classifier = KernelRidgeClassifier(gamma=0.05, classes=classes)
        probabilities, weight = soft_labels(features, joined, rows, truth[rows], classifier, random_state=0)
        found[tuple(classes)] = probabilities[:, np.argsort(classes)], weight
    (one, weight), (other, other_weight) = found.values()
    assert weight == other_weight == 0.85
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_folds_are_those_of_the_seed() -> None:
    """A quarter of thirty labels are wrong: whether to smooth depends on which of them are held back together."""
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    random = np.random.default_rng(1)
    rows = random.choice(300, 30, replace=False)
    labels = (truth[rows] ^ (random.random(30) < 0.25)).astype(np.uint8)
    classifier = KernelRidgeClassifier(classes=range(2))
    once, again = (
        [soft_labels(features, joined, rows, labels, classifier, random_state=seed)[1] for seed in range(5)]
        for _ in range(2)
    )
    assert once == again
    assert set(once) == {0, 0.5, 0.85}


def test_five_labels_are_enough_to_decide() -> None:
    _, truth = two_moons()
    rows = np.random.default_rng(1).choice(300, 5, replace=False)
    assert soft(rows, truth[rows], gamma=1.0)[1] == 0.85


def test_the_weight_is_that_of_the_smallest_log_loss() -> None:
    """Each weight alone, trained without a fifth of the labels and asked about it."""
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    classifier = KernelRidgeClassifier(classes=range(2))
    random = np.random.default_rng(1)
    rows = random.choice(300, 30, replace=False)
    labels = (truth[rows] ^ (random.random(30) < 0.25)).astype(np.uint8)
    weights, chosen = (0.6, 0, 0.3), []
    for seed in range(4):
        losses = np.zeros(3)
        for kept, held_back in KFold(5, shuffle=True, random_state=seed).split(rows):
            for place, weight in enumerate(weights):
                how = {"neighbour_weights": [weight], "random_state": 0}
                predicted, taken = soft_labels(features, joined, rows[kept], labels[kept], classifier, **how)
                assert taken == weight
                losses[place] -= np.log(np.maximum(predicted[rows[held_back], labels[held_back]], 1e-4)).sum()
        wanted = weights[losses.argmin()]
        chosen.append(wanted)
        how = {"neighbour_weights": weights, "random_state": seed}
        assert soft_labels(features, joined, rows, labels, classifier, **how)[1] == wanted
    assert len(set(chosen)) > 1


def test_without_a_choice_the_first_weight_is_taken() -> None:
    features, truth = two_moons()
    joined = neighbour_graph(nearest_neighbours(features))
    few, classifier = np.array([0, 150, 40, 290]), KernelRidgeClassifier(classes=range(2))
    how = {"neighbour_weights": [0.3, 0], "random_state": 0}
    assert soft_labels(features, joined, few, truth[few], classifier, **how)[1] == 0.3
    for wrong, message in (([], "none is given"), ([0, 2.0], "2.0 is not between"), (["0.5"], "'0.5' is not between")):
        with pytest.raises(ValueError, match=f"neighbour_weights: {message}"):
            soft_labels(features, joined, few, truth[few], classifier, neighbour_weights=wrong, random_state=0)


def test_soft_labels_of_a_pool_are_those_of_the_array(tmp_path: Path) -> None:
    features, truth = two_moons(2500)
    neighbours = nearest_neighbours(features)
    rows = np.random.default_rng(1).choice(2500, 40, replace=False)
    classifier = KernelRidgeClassifier(gamma=0.05, classes=range(2))
    how = {"neighbour_weights": [0.5, 0.85], "random_state": 0}
    wanted, weight = soft_labels(features, neighbour_graph(neighbours), rows, truth[rows], classifier, **how)
    with Local(tmp_path / "scratch"):
        joined = neighbour_graph(shards(tmp_path / "neighbours", neighbours, 1024))
        pool = shards(tmp_path / "features", features, 1024)
        found, taken = soft_labels(pool, joined, rows, truth[rows], classifier, **how)
        assert weight == taken == 0.85
        np.testing.assert_array_equal(found.array(), wanted)
        left = {path for path in (tmp_path / "scratch").rglob("rows-*") if path.is_dir()}
        assert left == {joined.parts.path, found.path}


# ---- which of them a network is trained on


def probabilities_of(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).dirichlet([0.4, 0.4, 0.4], count).astype(np.float32)


def test_all_confident_images_are_drawn_where_there_are_few() -> None:
    """Known ones are certain and always there, whatever is said of them; labels of copies are not bought."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5], [0, 1], [0.2, 0.8]], np.float32)
    known = LabelSet(np.array([1, 3]), np.array([1, 0], np.uint8), np.array([True, False]))
    trained_on = np.array([True, False, True, False, False, True])
    drawn = confident_labels(probabilities, known, trained_on, confidence=0.7, most=9, random_state=0)
    assert drawn.rows.tolist() == [0, 1, 2, 3, 5]
    assert drawn.labels.tolist() == [0, 1, 1, 0, 1]
    assert drawn.bought.tolist() == [False, True, False, False, False]
    np.testing.assert_array_equal(drawn.probabilities[[1, 3]], [[0, 1], [1, 0]])
    np.testing.assert_array_equal(drawn.probabilities[[0, 2, 4]], probabilities[[0, 2, 5]])
    assert probabilities[1].tolist() == np.float32([0.6, 0.4]).tolist()


@pytest.mark.parametrize("most", [0, 3, 4, 50, 10_000])
def test_the_same_images_are_drawn_from_a_pool(most: int, tmp_path: Path) -> None:
    probabilities = probabilities_of(300)
    known = LabelSet.from_bought([7, 150, 299], [2, 1, 0])
    trained_on = np.arange(300) % 5 > 0
    how = {"confidence": 0.6, "most": most, "random_state": 3}
    drawn = confident_labels(probabilities, known, trained_on, **how)
    confident = np.flatnonzero((probabilities.max(axis=1) >= 0.6) & trained_on)
    possible = np.union1d(confident, known.rows)
    assert len(drawn) == min(max(most, 3), len(possible))
    assert set(known.rows) <= set(drawn.rows) <= set(possible)
    for chunk in (300, 64, 7):
        pools = (shards(tmp_path / f"{chunk}-{rows.dtype}", rows, chunk) for rows in (probabilities, trained_on))
        for sources in (tuple(pools), (Pool(probabilities, chunk), trained_on)):
            same = confident_labels(sources[0], known, sources[1], **how)
            for name, values in drawn.arrays().items():
                np.testing.assert_array_equal(same.arrays()[name], values)


def test_each_image_is_as_likely_to_be_drawn() -> None:
    none, probabilities = LabelSet.from_bought([], []), probabilities_of(40)
    counts = np.zeros(40)
    for seed in range(1000):
        counts[confident_labels(probabilities, none, confidence=0, most=10, random_state=seed).rows] += 1
    assert counts.sum() == 10_000
    assert np.abs(counts - 250).max() < 4.5 * np.sqrt(1000 * 0.25 * 0.75)


def test_a_known_row_beyond_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match="known: row 9 of 5 images"):
        confident_labels(probabilities_of(5), LabelSet.from_bought([9], [0]), confidence=0.5, most=9, random_state=0)
