"""Measure piles on disk: `python -m benchmarks.scale [60000 240000 1000000]`, after `dvc repro flatten`.

Each step of the pipeline that looks at all images, on a pile of `benchmarks.pile`: in this process, in memory and on
disk, and on a cluster of one and of two workers; and once more with two, one of which is killed in the middle of three
of the steps. A digest of each result shows whether it is the same. k-means is compared with a fit on all images in
memory at once, as few images are fitted. Each of these has a process of its own. CPU seconds are those of all processes
together, so that other load on a shared machine matters little; peaks are of each step.

Writes to metrics/benchmarks.json, and docs/pictures/scale.svg, after each engine; what is there of others stays.
"""

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.alone import alone, peak_gib
from benchmarks.neighbours import recall
from benchmarks.pile import PILES, SIDE, pile
from benchmarks.results import RESULTS, record
from fewlabels.arrays import evenly_spaced
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.representatives import nearest_members
from fewlabels.choosing.rounds import simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.clustering import kmeans
from fewlabels.clustering.kmeans import KMeans
from fewlabels.dask_cluster import Cluster, chunks_of_task, connected
from fewlabels.features.hog import HOG
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.pool import CHUNK, Pool, as_pool
from fewlabels.run import Local, current
from fewlabels.spreading.clusters import within_percentile
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import soft_labels
from stages import command, files

# What draws is imported where it is used: the processes that are measured import this module, too.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (60_000, 240_000, 1_000_000)
LARGEST_IN_MEMORY = 240_000
CLUSTERS, MORE_CLUSTERS, PERCENTILE, BUDGET, NEIGHBOURS, SAMPLE = 500, 2_000, 30, 1_000, 5, 1_000
MEMORY, DISK, ONE, TWO, KILLED, WHOLE = "in memory", "on disk", "1 worker", "2 workers", "2, one killed", "at once"
ENGINES = (MEMORY, DISK, ONE, TWO, KILLED, WHOLE)
FEW_CLUSTERS, MANY_CLUSTERS = f"k-means, {CLUSTERS}", f"k-means, {MORE_CLUSTERS:,}"
PICTURE = Path("docs/pictures/scale.svg")
WORKERS, FEATURE_BYTES, TASK_SECONDS = 100, 4 * 300, 0.0025
"""On paper: workers, bytes of the features of an image, and seconds that Dask's scheduler takes for a task."""

Nearest = tuple[NDArray[np.float64], NDArray[np.int64]]


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, metavar="N", help="how many images")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, metavar="E", help=", ".join(ENGINES))
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    asked = parser.parse_args()
    runs = [run for run in _recorded() if run["images"] not in asked.sizes or run["engine"] not in asked.engines]
    for images in asked.sizes:
        folder = PILES / str(images)
        if not (folder / "labels").is_dir():
            pile(images, folder)
        for engine in asked.engines:
            if engine == MEMORY and images > LARGEST_IN_MEMORY:
                continue
            unharmed = {run["step"]: run["seconds"] for run in runs if (run["images"], run["engine"]) == (images, TWO)}
            kill_after = {step: unharmed.get(step, 10) / 3 for step in TO_KILL_IN} if engine == KILLED else {}
            measured = alone(_measure, folder, engine, kill_after)
            runs += [{"images": images, "engine": engine, **run} for run in measured]
            print_table(summary(runs))
            if not asked.dry:
                _write(runs)
    if any(run["engine"] == DISK for run in runs):
        print_on_paper(summary(runs))


def _write(runs: list[dict[str, Any]]) -> None:
    from matplotlib import rc_context

    record("scale", summary(runs), runs, ("distributed",))
    with (
        rc_context({"svg.hashsalt": "fewlabels", "svg.fonttype": "none"}),
        files.atomic_write(PICTURE) as partial_file,
    ):
        picture(runs).savefig(partial_file, format="svg", metadata={"Date": None})


def _recorded() -> list[dict[str, Any]]:
    """Read the runs of earlier calls, which may have measured other piles and engines."""
    sections = files.load_json(RESULTS) if RESULTS.exists() else {}
    runs: list[dict[str, Any]] = sections.get("scale", {}).get("runs", [])
    return runs


# ---- the steps


def _gradients(seen: SimpleNamespace) -> list[Any]:
    seen.features = HOG((SIDE, SIDE)).fit(seen.images).transform(seen.images)
    return [seen.features]


def _clusters(seen: SimpleNamespace) -> list[Any]:
    seen.kmeans = KMeans(CLUSTERS, random_state=0).fit(seen.features)
    seen.inertias[FEW_CLUSTERS] = seen.kmeans.inertia_
    return [seen.kmeans.labels_, seen.kmeans.distances_]


def _more_clusters(seen: SimpleNamespace) -> list[Any]:
    more = KMeans(MORE_CLUSTERS, random_state=1).fit(seen.features)  # on other axes than those of fewer clusters
    seen.inertias[MANY_CLUSTERS] = more.inertia_
    return [more.labels_, more.distances_]


def _representatives(seen: SimpleNamespace) -> list[Any]:
    return [nearest_members(seen.kmeans.labels_, seen.kmeans.distances_, CLUSTERS)]


def _percentile(seen: SimpleNamespace) -> list[Any]:
    return [within_percentile(seen.kmeans.labels_, seen.kmeans.distances_, PERCENTILE)]


def _active(seen: SimpleNamespace) -> list[Any]:
    query = partial(cluster_margin, classifier=seen.ridge, random_state=0)
    seen.bought = simulate(query, seen.features, SimulatedAnnotator(seen.labels), BUDGET)
    return list(seen.bought)


def _neighbours(seen: SimpleNamespace) -> list[Any]:
    seen.neighbours = nearest_neighbours(seen.features, NEIGHBOURS)
    return [seen.neighbours]


def _soft_labels(seen: SimpleNamespace) -> list[Any]:
    graph = neighbour_graph(seen.neighbours)
    rows, labels = seen.bought
    return [soft_labels(seen.features, graph, rows, labels, seen.ridge, random_state=0)[0]]


STEPS: dict[str, Callable[[SimpleNamespace], list[Any]]] = {
    "gradients": _gradients,
    FEW_CLUSTERS: _clusters,
    MANY_CLUSTERS: _more_clusters,
    "representatives": _representatives,
    "percentile": _percentile,
    "active rounds": _active,
    "neighbours": _neighbours,
    "soft labels": _soft_labels,
}
TO_KILL_IN = ("gradients", FEW_CLUSTERS, "neighbours")


# ---- one process


def _measure(folder: Path, engine: str, kill_after: dict[str, float]) -> list[dict[str, Any]]:
    """Take all steps on one engine; in some of them kill a worker after so many seconds."""
    scratch = (folder / "scratch" / engine.replace(" ", "-").replace(",", "")).absolute()
    shutil.rmtree(scratch, ignore_errors=True)  # what an earlier call left would not be computed
    images, labels = Pool(folder / "images"), Pool(folder / "labels").array()
    ridge = KernelRidgeClassifier(classes=range(10))
    seen = SimpleNamespace(
        images=images.array() if engine == MEMORY else images, labels=labels, ridge=ridge, inertias={}
    )
    with Local():
        _warm_up(images)
    with _engine(engine, scratch):
        if engine == WHOLE:
            measured = _fitted_at_once(seen)
        else:
            measured = [_step(name, seen, kill_after.get(name)) for name in STEPS]
        for row in measured:
            if row["step"] in seen.inertias:
                row["inertia"] = float(seen.inertias[row["step"]])
            elif row["step"] == "neighbours":
                sample = evenly_spaced(len(images), SAMPLE)
                row["recall"] = recall(as_pool(seen.neighbours).take(sample), _nearest_of(sample, seen.features))
    shutil.rmtree(scratch, ignore_errors=True)
    return measured


def _fitted_at_once(seen: SimpleNamespace) -> list[dict[str, Any]]:
    """Take the steps of k-means as with few images: all features in memory, each move with the latest centroids."""
    _gradients(seen)
    seen.features = as_pool(seen.features).array()
    with mock.patch.object(kmeans, "_are_few", return_value=True):
        return [_step(name, seen, None) for name in (FEW_CLUSTERS, MANY_CLUSTERS)]


def _engine(engine: str, scratch: Path) -> Any:
    if engine == MEMORY:
        return nullcontext()
    return Local(scratch) if engine in (DISK, WHOLE) else connected("local", scratch, workers=1 if engine == ONE else 2)


def _warm_up(images: Pool) -> None:
    """Compile the loops, or read them from disk, with few images."""
    few = images.take(np.arange(min(len(images), 6_000)))
    ridge = KernelRidgeClassifier(classes=range(10))
    seen = SimpleNamespace(images=few, labels=np.arange(len(few)) % 10, ridge=ridge, inertias={})
    for step in (_gradients, _clusters, _neighbours):
        step(seen)


def _step(name: str, seen: SimpleNamespace, kill_after: float | None) -> dict[str, Any]:
    run = current()
    before = _usage_of_all(run)
    worker = min(before.keys() - {os.getpid()}, default=0)
    killing = threading.Timer(kill_after or 0, os.kill, (worker, signal.SIGKILL))
    if kill_after is not None:
        killing.start()
    start = time.perf_counter()
    results = STEPS[name](seen)
    seconds = time.perf_counter() - start
    too_late = killing.is_alive()
    killing.cancel()
    after = _usage_of_all(run)
    # A worker that was killed took its count with it; one that came in its place starts from nothing.
    spent = [cpu - before.get(process, (0.0, 0.0))[0] for process, (cpu, _) in after.items()]
    peaks = {process: peak for process, (_, peak) in after.items()}
    client = peaks.pop(os.getpid())
    return {
        "step": name,
        "seconds": seconds,
        "cpu_seconds": sum(spent),
        "client_peak_gib": client,
        "worker_peak_gib": max(peaks.values(), default=None),
        "killed": kill_after is not None and not too_late,
        "digest": _digest(results),
    }


def _usage_of_all(run: Local) -> dict[int, tuple[float, float]]:
    """CPU seconds and peak memory of each process, by its number; from now on the peaks are counted anew."""
    workers = run.client.run(_usage).values() if isinstance(run, Cluster) else ()
    return dict([_usage(), *workers])


def _usage() -> tuple[int, tuple[float, float]]:
    peak = peak_gib()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return os.getpid(), (time.process_time(), peak)


def _digest(results: list[Any]) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for pool in map(as_pool, results):
        for number in range(pool.chunks):
            digest.update(np.ascontiguousarray(pool.read(number)).tobytes())
    return digest.hexdigest()


def _nearest_of(sample: NDArray[np.int64], features: Any) -> NDArray[np.int32]:
    """Compare some rows with all, in float64, a chunk at a time."""
    points = as_pool(features).take(sample).astype(np.float64)
    _, found = Local().map_reduce(_nearest_in_chunk, _nearer, as_pool(features), points=points, own=sample)
    return found.astype(np.int32)


def _nearest_in_chunk(rows: slice, features: NDArray[Any], *, points: NDArray[Any], own: NDArray[np.int64]) -> Nearest:
    chunk = features.astype(np.float64)
    squares = (points**2).sum(1)[:, None] - 2 * points @ chunk.T + (chunk**2).sum(1)
    numbers = np.arange(rows.start, rows.stop)
    squares[own[:, None] == numbers] = np.inf
    return _first(squares, np.broadcast_to(numbers, squares.shape))


def _nearer(a: Nearest, b: Nearest) -> Nearest:
    return _first(np.hstack([a[0], b[0]]), np.hstack([a[1], b[1]]))


def _first(squares: NDArray[np.float64], numbers: NDArray[np.int64]) -> Nearest:
    order = np.argsort(squares, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.take_along_axis(squares, order, 1), np.take_along_axis(numbers, order, 1)


# ---- what is shown


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay out the runs, a row for each step of a pile: CPU seconds on each engine, and all that is compared."""
    return [
        _row([run for run in runs if (run["images"], run["step"]) == (images, step)])
        for images in sorted({run["images"] for run in runs})
        for step in STEPS
        if any((run["images"], run["step"]) == (images, step) for run in runs)
    ]


def _row(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the results of all engines; of the one that kills a worker, seconds count of steps in which it did."""
    by_engine = {run["engine"]: run for run in runs if run["killed"] or run["engine"] != KILLED}
    disk = by_engine.get(DISK, {})
    bounded = [run for run in runs if run["engine"] not in (MEMORY, WHOLE)]
    digests = [run["digest"] for run in runs if run["engine"] != WHOLE]
    row = {
        "images": runs[0]["images"],
        "step": runs[0]["step"],
        "cpu_seconds": {engine: run["cpu_seconds"] for engine, run in by_engine.items()},
        "client_peak_gib": max((run["client_peak_gib"] for run in bounded), default=None),
        "worker_peak_gib": max((run["worker_peak_gib"] for run in bounded if run["worker_peak_gib"]), default=None),
        "same": len(set(digests)) == 1 if len(digests) > 1 else None,
    }
    if "inertia" in disk and WHOLE in by_engine:
        row["inertia"] = disk["inertia"] / by_engine[WHOLE]["inertia"]
    return row | ({"recall": disk["recall"]} if "recall" in disk else {})


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    title = "Moved images of Fashion-MNIST, steps that look at all of them: CPU seconds"
    table = Table(title=title, padding=(0, 1, 0, 0), pad_edge=False)
    beside = ("MiB, process", "MiB, worker", "all the same", "inertia, %", "recall, %")
    for heading in ("images", "", *ENGINES, *beside):
        table.add_column("\n".join(heading.split()), justify="right" if heading else "left")
    for row in rows:
        peaks = (row["client_peak_gib"], row["worker_peak_gib"])
        table.add_row(
            f"{row['images']:,}",
            row["step"],
            *(_seconds(row["cpu_seconds"].get(engine)) for engine in ENGINES),
            *("" if peak is None else f"{1024 * peak:.0f}" for peak in peaks),
            {True: "yes", False: "no", None: ""}[row["same"]],
            f"{100 * (row['inertia'] - 1):+.2f}" if "inertia" in row else "",
            f"{100 * row['recall']:.2f}" if "recall" in row else "",
        )
    Console(width=120).print(table)


def print_on_paper(rows: list[dict[str, Any]]) -> None:
    """Print what more images would need, from what the largest pile has cost on disk, on one core."""
    measured = max(row["images"] for row in rows if DISK in row["cpu_seconds"])
    cost = {row["step"]: row["cpu_seconds"][DISK] for row in rows if row["images"] == measured}
    steps = {"gradients": 1.0, "active rounds": 1.0, "neighbours": 1.5, "soft labels": 1.0}
    table = Table(title=f"On paper: {WORKERS} workers of one core", padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("images", "pixels, GB", "features, GB", "files of each", "tasks, pass", "scheduler, pass", *steps):
        table.add_column("\n".join(heading.split()), justify="right")
    for images in (10**6, 10**7, 10**8, 10**9):
        chunks = -(-images // CHUNK)
        tasks = -(-chunks // chunks_of_task(chunks))
        needed = [cost[step] * (images / measured) ** power / WORKERS for step, power in steps.items()]
        table.add_row(
            f"{images:,}",
            *(f"{images * size / 1e9:,.1f}" for size in (SIDE * SIDE, FEATURE_BYTES)),
            f"{chunks:,}",
            f"{tasks:,}",
            _duration(tasks * TASK_SECONDS),
            *map(_duration, needed),
        )
    Console(width=120).print(table)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"


def picture(runs: list[dict[str, Any]]) -> "Figure":
    """CPU seconds over images, on disk; and seconds over workers: dashed, if all were ideal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained", facecolor="white")
    over_images, over_workers = figure.subplots(1, 2)
    engines = {ONE: 1, TWO: 2}
    most = max((run["images"] for run in runs if run["engine"] == ONE), default=0)
    for place, step in enumerate(STEPS):
        mine, colour = [run for run in runs if run["step"] == step], f"C{place}"
        grown = [(run["images"], run["cpu_seconds"]) for run in mine if run["engine"] == DISK]
        _beside_ideal(over_images, grown, step, colour, lambda images, first: images / first)
        by_workers = [
            (engines[run["engine"]], run["seconds"])
            for run in mine
            if run["images"] == most and run["engine"] in engines
        ]
        _beside_ideal(over_workers, by_workers, step, colour, lambda workers, first: first / workers)
    over_images.set(xscale="log", yscale="log", xlabel="images", ylabel="CPU seconds", title="one process, on disk")
    over_workers.set(yscale="log", xlabel="workers", ylabel="seconds", title=f"{most:,} images", xticks=[1, 2])
    labelled = over_images.get_legend_handles_labels()
    figure.legend(*labelled, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def _beside_ideal(
    axes: "Axes", points: list[tuple[int, float]], label: str, colour: str, ideal: Callable[[int, int], float]
) -> None:
    if not points:
        return
    points = sorted(points)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.plot(xs, ys, marker="o", label=label, color=colour)
    axes.plot(xs, [ys[0] * ideal(x, xs[0]) for x in xs], linestyle="--", linewidth=0.8, color=colour)


if __name__ == "__main__":
    with command.at_root():
        main()
