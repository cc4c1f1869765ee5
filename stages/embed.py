"""Compute what a pretrained network sees in each image, once: only for `features: embedding` and `auto`."""

import numpy as np

from fewlabels.arrays import Floats, first_occurrences
from fewlabels.pool import Pool, Rows
from stages import command, engine, files, inputs, params

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
    with engine.running(settings, "embed"):
        for part in ("train", "test"):
            numbers: Rows = np.empty((0, 0), np.float32)
            if wanted:
                try:
                    numbers = _seen(inputs.images(part), part, settings)
                except ValueError as error:
                    raise SystemExit(f"params.yaml: embedding: {error}") from None
            files.save_rows(FEATURES / f"embedding_{part}.npy", numbers)


def _seen(images: Rows, part: str, settings: params.Params) -> Rows:
    from fewlabels.networks import pretrained

    how = settings.embedding
    what = settings.data.image_shape, how.model, how.size, how.scale
    if isinstance(images, Pool):  # copies, too: describe gives them the features of their original
        print(f"{part}: {how.model} looks at {len(images):,} images", flush=True)
        pool: Pool = pretrained.embedding_of(images, *what)
        return pool
    distinct, place = np.unique(first_occurrences(images), return_inverse=True)
    print(f"{part}: {how.model} looks at {len(distinct):,} distinct images", flush=True)
    seen: Floats = pretrained.embedding_of(images, *what, rows=distinct)
    return seen[place]


if __name__ == "__main__":
    command.run(main)
