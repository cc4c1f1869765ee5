"""A network as a scikit-learn classifier, classifiers on its last features, and soft voting of several."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from synthetic import BARS as SHAPE
from synthetic import bars

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from fewlabels.networks import ensemble
from fewlabels.networks.architectures import compact, study
from fewlabels.networks.classifier import NetworkClassifier
from fewlabels.networks.embedding import Embedding
from fewlabels.networks.ensemble import classifier_on_embedding, joined, predicted_together, soft_voting
from fewlabels.networks.quiet_keras import keras
from fewlabels.networks.training import TrainingSettings, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained() -> NetworkClassifier:
    images, labels = bars(300)
    settings = TrainingSettings(architecture="edges", steps=120, batch_size=30, learning_rate=0.01, patience=20)
    return train(
        images, LabelSet.from_bought(range(300), labels), image_shape=SHAPE, n_classes=3, settings=settings, seed=0
    )


def test_a_network_classifier_says_what_its_network_says(trained: NetworkClassifier, tmp_path: Path) -> None:
    unseen, truth = bars(90, seed=1)
    wanted = trained.network.predict(unseen, verbose=0)
    joblib.dump(trained, tmp_path / "model.joblib")
    for model in (trained, joblib.load(tmp_path / "model.joblib"), clone(trained)):
        check_is_fitted(model)
        np.testing.assert_allclose(model.predict_proba(unseen), wanted, atol=1e-5)
        np.testing.assert_array_equal(model.predict(unseen), wanted.argmax(axis=1))
        assert model.score(unseen, truth) > 0.9
        assert model.classes_.tolist() == [0, 1, 2]
        assert model.n_features_in_ == 72
        assert model.curves == trained.curves


def test_joined_networks_average_their_scores_before_the_softmax(trained: NetworkClassifier, tmp_path: Path) -> None:
    """Up to a factor that is the same for all classes, that is the geometric mean of their probabilities."""
    other = compact(SHAPE, 3)
    images, _ = bars(40, seed=3)
    model = joined([trained.network, other])
    geometric = np.sqrt(NetworkClassifier(trained.network).predict_proba(images))
    geometric *= np.sqrt(NetworkClassifier(other).predict_proba(images))
    wanted = geometric / geometric.sum(axis=1, keepdims=True)
    features = [Embedding(one).last_features(images) for one in (trained.network, other)]
    np.testing.assert_allclose(Embedding(model).last_features(images), np.hstack(features))
    NetworkClassifier(model).network.save(tmp_path / "joined.keras")
    for one in (model, keras.models.load_model(tmp_path / "joined.keras")):
        np.testing.assert_allclose(NetworkClassifier(one).predict_proba(images), wanted, rtol=1e-4, atol=1e-6)
    assert joined([other]) is other


@pytest.mark.parametrize("colours", [1, 3])
def test_views_of_an_image_are_moved_along_its_diagonals(colours: int, tmp_path: Path) -> None:
    """As it is, then down and right, up and left, down and left, up and right: from outside comes zero."""
    shape = (*SHAPE, colours)[: 2 + (colours > 1)]
    image = np.random.default_rng(0).integers(1, 256, (1, *SHAPE, colours), dtype=np.uint8)
    moved = [image, *(np.zeros_like(image) for _ in range(4))]
    moved[1][:, 1:, 1:], moved[2][:, :-1, :-1] = image[:, :-1, :-1], image[:, 1:, 1:]
    moved[3][:, 1:, :-1], moved[4][:, :-1, 1:] = image[:, :-1, 1:], image[:, 1:, :-1]
    networks = [compact(shape, 3), compact(shape, 3)]
    model = joined(networks, shape, views=5)
    views = [view.reshape(1, -1) for view in moved]
    features = [Embedding(network).last_features(view) for view in views for network in networks]
    np.testing.assert_allclose(Embedding(model).last_features(views[0]), np.hstack(features), rtol=1e-5)
    logs = [np.log(NetworkClassifier(network).predict_proba(view)) for view in views for network in networks]
    wanted = np.exp(np.mean(logs, axis=0))
    model.save(tmp_path / "joined.keras")
    for one in (model, keras.models.load_model(tmp_path / "joined.keras")):
        found = NetworkClassifier(one).predict_proba(views[0])
        np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-4, atol=1e-6)


def test_what_cannot_be_joined_is_refused_by_name() -> None:
    network = compact(SHAPE, 3)
    for views in (0, 6, 1.5, 2.0, True):
        with pytest.raises(ValueError, match=f"^views: {views} is no whole number from 1 to 5$"):
            joined([network], SHAPE, views=views)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^image_shape: "):
        joined([network], views=2)
    with pytest.raises(ValueError, match=r"^networks: "):
        joined([], SHAPE)
    with pytest.raises(ValueError, match=r"^networks: of 2 and 3 classes, so they have no mean$"):
        joined([compact(SHAPE, 3), compact(SHAPE, 2)])
    with pytest.raises(ValueError, match=r"^networks: their last activations are sigmoid and softmax, so they have no"):
        joined([compact(SHAPE, 3), study(SHAPE, 3)])


def test_joined_networks_of_the_study_keep_their_activation() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 100), dtype=np.uint8)
    networks = [study((10, 10), 3) for _ in range(2)]
    one, other = (np.asarray(network(images)) for network in networks)
    mean = (np.log(one / (1 - one)) + np.log(other / (1 - other))) / 2
    np.testing.assert_allclose(joined(networks)(images), 1 / (1 + np.exp(-mean)), rtol=1e-4)


def test_scores_without_a_fixed_sum_become_probabilities() -> None:
    """Those of the study's network are sigmoids, and may all be zero."""
    inputs = keras.Input((3,), dtype="uint8")
    model = NetworkClassifier(keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs)))
    wanted = [[0.125, 0.375, 0.5], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(model.predict_proba([[1, 3, 4], [0, 0, 0]]), wanted, rtol=1e-6)


def test_fitting_it_again_changes_nothing(trained: NetworkClassifier) -> None:
    before = [weights.copy() for weights in trained.network.get_weights()]
    assert trained.fit(*bars(9)) is trained
    for one, other in zip(before, trained.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_embedding_is_scaled_and_separates_classes(trained: NetworkClassifier) -> None:
    images, labels = bars(300)
    embedding = Embedding(trained.network, n_components=20).fit(images)
    features = embedding.transform(images)
    assert features.shape == (300, 20)
    assert np.square(features - features.mean(axis=0)).sum(axis=1).mean() == pytest.approx(1, rel=0.01)
    few = LabelSet(np.arange(300), labels, np.arange(300) < 30)
    ridge = KernelRidgeClassifier(classes=range(3))
    assert classifier_on_embedding(trained.network, images, few, ridge).score(*bars(300, seed=1)) > 0.9
    assert not hasattr(ridge, "dual_coef_"), "a clone is trained"


def test_soft_voting_is_the_mean_and_trains_nothing(trained: NetworkClassifier, tmp_path: Path) -> None:
    images, labels = bars(90)
    ridge = KernelRidgeClassifier(gamma=1e-5, classes=range(3)).fit(images, labels)
    joblib.dump(soft_voting({"ridge": ridge, "network": trained}), tmp_path / "ensemble.joblib")
    loaded = joblib.load(tmp_path / "ensemble.joblib")
    wanted = (ridge.predict_proba(images) + trained.predict_proba(images)) / 2
    np.testing.assert_allclose(loaded.predict_proba(images), wanted, atol=1e-5)
    np.testing.assert_array_equal(loaded.predict(images), wanted.argmax(axis=1))
    assert loaded.score(images, labels) == np.mean(wanted.argmax(axis=1) == labels)
    assert loaded.classes_.tolist() == [0, 1, 2]


def test_classifiers_of_different_classes_have_no_mean(trained: NetworkClassifier) -> None:
    images, labels = bars(90)
    ridge = KernelRidgeClassifier(classes=range(4)).fit(images, labels)
    with pytest.raises(ValueError, match="different classes"):
        soft_voting({"ridge": ridge, "network": trained})


def test_probabilities_are_computed_some_images_at_a_time(
    trained: NetworkClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = bars(90)
    few = LabelSet(np.arange(90), labels, np.arange(90) < 30)
    on_embedding = classifier_on_embedding(trained.network, images, few, KernelRidgeClassifier(classes=range(3)))
    monkeypatch.setattr(ensemble, "CHUNK", 40)
    own, others = predicted_together(on_embedding, images)
    np.testing.assert_allclose(own, trained.predict_proba(images), atol=1e-5)
    np.testing.assert_allclose(others, on_embedding.predict_proba(images), atol=1e-5)
