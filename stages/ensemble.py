"""Put kernel ridge regression and the network that learnt from it together: `python -m stages.ensemble NAME`."""

import argparse
from pathlib import Path

from fewlabels.ensemble import Ensemble
from fewlabels.quiet_keras import keras
from stages import files, params

MODELS = Path("data/models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", choices=params.SOFT_SETS)
    name = parser.parse_args().label_set
    params.load()  # for its checks
    teacher = files.load_object(MODELS / "ridge" / "active.joblib")
    student = keras.models.load_model(MODELS / "nn" / f"{name}.keras")
    files.save_object(MODELS / "ensemble" / f"{name}.joblib", Ensemble([teacher, student]))
    print(f"ensemble on {name}: kernel ridge regression and a network")


if __name__ == "__main__":
    main()
