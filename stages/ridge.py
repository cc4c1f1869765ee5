"""The kernel ridge regression of params.yaml, as choosing, spreading, training and the ensemble use it."""

from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from stages import params


def untrained(settings: params.Params, n_classes: int) -> KernelRidgeClassifier:
    """Build the classifier, with all classes, so that one without a label yet has a score, too."""
    ridge = settings.kernel_ridge
    return KernelRidgeClassifier(ridge.gamma, ridge.alpha, range(n_classes))
