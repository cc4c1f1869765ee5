"""Spread the bought labels over the clusters: to every member, and to the members near the centroid."""

from pathlib import Path

from fewlabels.label_set import LabelSet
from fewlabels.propagation import propagate, within_percentile
from stages import files, params

LABELS, CLUSTERS = Path("data/labels"), Path("data/clusters")


def main() -> None:
    percentile = params.load().percentile
    representatives = LabelSet(**files.load_arrays(LABELS / "representatives.npz"))
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    near = within_percentile(assignments, distances, percentile)
    for name, label_set in {
        "propagated": propagate(representatives, assignments),
        "propagated_near": propagate(representatives, assignments, near),
    }.items():
        files.save_arrays(LABELS / f"{name}.npz", label_set.arrays())
        print(f"{name}: {len(representatives):,} labels spread to {len(label_set):,} images")


if __name__ == "__main__":
    main()
