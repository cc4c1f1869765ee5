"""Compute what a pretrained network sees in each image, once: only for `features: embedding` and `auto`."""

import numpy as np

from fewlabels.arrays import first_occurrences
from stages import command, files, inputs, params

FEATURES = inputs.FEATURES


def main() -> None:
    settings = params.load()
    how = settings.embedding
    wanted = settings.features in ("embedding", "auto")
    if wanted:
        from fewlabels.networks import pretrained  # not above: most runs need no network here

        try:
            pretrained.check(settings.data.image_shape, how.model, how.size, how.scale)
        except ValueError as error:
            raise SystemExit(f"params.yaml: embedding: {error}") from None
    for part in ("train", "test"):
        numbers = np.empty((0, 0), np.float32)
        if wanted:
            images = inputs.images(part)
            distinct, place = np.unique(first_occurrences(images), return_inverse=True)
            print(f"{part}: {how.model} looks at {len(distinct):,} distinct images", flush=True)
            try:
                seen = pretrained.embedding_of(
                    images, settings.data.image_shape, how.model, how.size, how.scale, rows=distinct
                )
            except ValueError as error:
                raise SystemExit(f"params.yaml: embedding: {error}") from None
            numbers = seen[place]
        files.save_array(FEATURES / f"embedding_{part}.npy", numbers)


if __name__ == "__main__":
    command.run(main)
