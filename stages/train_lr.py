"""Train logistic regression on one label set: `python -m stages.train_lr NAME`."""

from sklearn.preprocessing import FunctionTransformer

from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from stages import command, inputs, params, trainer


def main() -> None:
    trainer.run("lr", train)


def train(settings: params.Params, name: str, label_set: LabelSet) -> trainer.Trained:
    label_set.require_classes(2)
    how = settings.logistic_regression
    rows, labels = label_set.rows, label_set.labels
    if settings.features == "pixels":
        pixels = FunctionTransformer(scale_pixels, kw_args={"power": how.pixel_power})
        model = logistic_regression(pixels, C=how.C, max_iterations=how.max_iterations)
        return trainer.on_images(model.fit(inputs.pixels("train", rows), labels))
    model = logistic_regression(FunctionTransformer(), C=how.features_C, max_iterations=how.max_iterations)
    return trainer.on_features(model.fit(inputs.seen("train", rows), labels))


if __name__ == "__main__":
    with command.at_root():
        main()
