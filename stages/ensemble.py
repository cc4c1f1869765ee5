"""Put three opinions on the same bought labels together as one classifier: `python -m stages.ensemble NAME`.

Kernel ridge regression on gradients, the network that learnt from it, and kernel ridge regression on what that network
sees.
"""

import argparse
from pathlib import Path

from fewlabels.label_set import LabelSet
from stages import files, params

MODELS = Path("data/models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", choices=params.SOFT_SETS)
    name = parser.parse_args().label_set
    params.load()  # for its checks

    from fewlabels.ensemble import Ensemble  # not above: a bad parameter should not wait for TensorFlow
    from fewlabels.quiet_keras import keras
    from fewlabels.student import on_embedding

    label_set = LabelSet(**files.load_arrays(f"data/labels/{name}.npz"))
    images = files.load_array("data/flat/train_images.npy")[label_set.rows]
    teacher = files.load_object(MODELS / "ridge" / "active.joblib")
    student = keras.models.load_model(MODELS / "nn" / f"{name}.keras")
    ensemble = Ensemble([teacher, student, on_embedding(student, images, label_set)])
    files.save_object(MODELS / "ensemble" / f"{name}.joblib", ensemble)
    print(f"ensemble on {name}: kernel ridge regression on gradients, a network, and the regression on its features")


if __name__ == "__main__":
    main()
