"""Cluster-margin sampling: which images it asks about, and what their labels are worth."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.representatives import representatives
from fewlabels.choosing.rounds import simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier

RIDGE = KernelRidgeClassifier(gamma=20.0, classes=range(2))


def disc(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Two classes, a disc and what is around it: far from its edge, a label says nothing new."""
    random = np.random.default_rng(seed)
    points = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    return points, (np.hypot(*points.T) < 0.7).astype(np.uint8)


def from_edge(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.abs(np.hypot(*points.T) - 0.7)


def test_without_labels_the_representatives_are_asked() -> None:
    features, _ = disc(300)
    asked = cluster_margin(features, [], [], 20, classifier=RIDGE, random_state=3)
    np.testing.assert_array_equal(asked, representatives(features, [], [], 20, random_state=3))


def test_one_candidate_for_each_image_is_margin_sampling() -> None:
    features, truth = disc(400)
    rows = np.arange(60)
    asked = cluster_margin(features, rows, truth[rows], 10, classifier=RIDGE, random_state=0, candidates=1)
    scores = KernelRidgeClassifier(gamma=20.0).fit(features[rows], truth[rows]).decision_function(features)
    margins = np.abs(scores)
    margins[rows] = np.inf
    assert sorted(asked) == sorted(np.argsort(margins)[:10])


def test_more_candidates_come_from_more_parts_of_the_features() -> None:
    """Three groups of images on the edge between two classes, one much larger: margins alone ask about that one."""
    random = np.random.default_rng(0)
    groups = np.repeat([0, 5, 10], [200, 8, 8])
    across = random.normal(scale=0.01, size=len(groups)) * np.where(groups == 0, 0.1, 1)
    labelled = np.array([[x, y] for x in (0, 5, 10) for y in (-1, 1)])
    features = np.concatenate([labelled, np.stack([groups, across], axis=1)]).astype(np.float32)
    rows, labels = np.arange(6), np.array([0, 1] * 3, np.uint8)
    query = partial(cluster_margin, classifier=KernelRidgeClassifier(), random_state=0)
    few, many = (query(features, rows, labels, 6, candidates=count) for count in (1, 40))
    assert len(np.unique(features[few, 0].round())) == 1
    assert len(np.unique(features[many, 0].round())) == 3


@pytest.mark.parametrize("candidates", [3, 20])
def test_as_many_candidates_as_told_are_clustered(candidates: int) -> None:
    """Twenty times as many as are bought, if not told."""
    features, truth = disc(400)
    rows = np.arange(60)
    margins = np.abs(clone(RIDGE).fit(features[rows], truth[rows]).decision_function(features))
    margins[rows] = np.inf
    smallest = np.sort(np.argsort(margins)[: candidates * 8])
    wanted = smallest[representatives(features[smallest], [], [], 8, random_state=0)]
    told = {} if candidates == 20 else {"candidates": candidates}
    asked = cluster_margin(features, rows, truth[rows], 8, classifier=RIDGE, random_state=0, **told)
    np.testing.assert_array_equal(asked, wanted)
    assert not np.array_equal(np.sort(asked), np.sort(np.argsort(margins)[:8])), "they are spread"


def test_labels_are_asked_where_classes_meet_and_are_worth_more() -> None:
    features, truth = disc(5000)
    unseen, answers = disc(5000, seed=1)
    query = partial(cluster_margin, classifier=RIDGE, random_state=0)
    rows, labels = simulate(query, features, SimulatedAnnotator(truth), 200)
    assert np.median(from_edge(features[rows[50:]])) < 0.5 * np.median(from_edge(features))
    accuracies = []
    for seed in range(5):
        at_random = np.random.default_rng(seed).choice(5000, 200, replace=False)
        model = KernelRidgeClassifier(gamma=20.0).fit(features[at_random], truth[at_random])
        accuracies.append(model.score(unseen, answers))
    assert KernelRidgeClassifier(gamma=20.0).fit(features[rows], labels).score(unseen, answers) > max(accuracies)


@pytest.mark.parametrize("scores", ["decision_function", "predict_proba"])
def test_a_classifier_of_scikit_learn_has_the_margins_of_its_scores(scores: str) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    features, truth = disc(200)
    rows = np.arange(50)
    classifier = LogisticRegression() if scores == "decision_function" else KNeighborsClassifier(9)
    asked = cluster_margin(features, rows, truth[rows], 5, classifier=classifier, random_state=0, candidates=1)
    probabilities = classifier.fit(features[rows], truth[rows]).predict_proba(features)
    margins = np.abs(probabilities[:, 0] - probabilities[:, 1])
    assert margins[asked].max() <= np.sort(np.delete(margins, rows))[4]


def test_whoever_labelled_before_counts() -> None:
    """Labels that the strategy did not choose, half a round of them, are used like its own."""
    features, truth = disc(2000)
    rows = np.random.default_rng(5).choice(2000, 137, replace=False)
    asked = cluster_margin(features, rows, truth[rows], 30, classifier=RIDGE, random_state=0)
    assert np.median(from_edge(features[asked])) < 0.5 * np.median(from_edge(features))


def test_scores_come_before_probabilities() -> None:
    """A classifier with both, which do not agree: the scores say row 7, the probabilities row 4."""

    class Both(ClassifierMixin, BaseEstimator):
        def fit(self, X: NDArray[np.float32], y: NDArray[np.uint8]) -> "Both":
            self.classes_ = np.unique(y)
            return self

        def decision_function(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.stack([X[:, 0] - 7, 7 - X[:, 0], np.full(len(X), -90)], axis=1)

        def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.stack([X[:, 0] - 4, 4 - X[:, 0], np.full(len(X), -90)], axis=1)

    features = np.arange(10, dtype=np.float32)[:, None]
    asked = cluster_margin(features, [0, 1, 2], [0, 1, 2], 1, classifier=Both(), random_state=0, candidates=1)
    assert asked.tolist() == [7]
