"""The graph of neighbours, and label spreading over it: images that look alike are joined and share their labels."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fewlabels.arrays import Floats
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current

TOLERANCE = 1e-4
"""The iterations end when the 2-norm of the error over all images is below this part of that of their own
probabilities."""


@dataclass(frozen=True)
class ChunkedGraph:
    """The graph of a pool of images: for each chunk of them their edges, as `neighbour_graph` makes them.

    Attributes
    ----------
    shape : (int, int)
        The number of images, twice.
    chunk : int
        Images of each chunk but the last.
    parts : Pool
        One row for each chunk. Its fields are those of a csr_array with a row for each image of the chunk, `starts`,
        `columns` and `weights`, and a column for each of `neighbours`, the images that these are joined with.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from fewlabels.pool import write
    >>> with TemporaryDirectory() as folder:
    ...     write(Path(folder), 0, np.array([[1], [0]], np.int32))
    ...     write(Path(folder), 1, np.array([[3], [2]], np.int32))
    ...     graph = neighbour_graph(Pool(folder))
    >>> graph.shape, graph.chunk, graph.parts.take([1])["neighbours"][0, :2]
    ((4, 4), 2, array([2, 3], dtype=int32))
    """

    shape: tuple[int, int]
    chunk: int
    parts: Pool


Graph: TypeAlias = sparse.csr_array | ChunkedGraph
"""What joins the images: of an array one matrix, of a pool on disk a part for each chunk."""


def neighbour_graph(neighbours: Rows) -> Graph:
    """Build the symmetric, normalised graph that joins each image with its neighbours.

    Of a pool on disk, each chunk finds out who names its images in the edges of every other chunk, sorted by the image
    that they point to: work grows with the number of edges, and opened files with the square of the number of chunks.
    Memory holds the edges of one chunk in both directions.

    Parameters
    ----------
    neighbours : ndarray or Pool of int32, shape (n, k)
        As from `fewlabels.features.neighbours.nearest_neighbours`.

    Returns
    -------
    csr_array of float32, shape (n, n), or ChunkedGraph
        Symmetric, with at most 2 * n * k entries: D^-1/2 A D^-1/2, where A is 1 for an edge and D counts edges. Of a
        pool on disk a ChunkedGraph with the same entries.

    Raises
    ------
    ValueError
        If a neighbour is none of the images.

    References
    ----------
    D. Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2003.

    Examples
    --------
    >>> neighbour_graph(np.array([[1], [0], [3], [2]], np.int32)).toarray()[0]
    array([0., 1., 0., 0.], dtype=float32)
    """
    pool = as_pool(neighbours)
    if pool.in_memory:
        return _normalised_graph(pool.array())
    run, n = current(), len(pool)
    targets, sources = run.map(_by_target, pool, outputs=2, count=n, label="edges by the image they point to")
    edges = run.map_reduce(_edges_into, np.add, pool, count=pool.chunks, size=pool.chunk, label="edges of each chunk")
    degrees, joined = run.map(
        _joined, pool, outputs=2, targets=targets, sources=sources, width=int(edges.max()), label="edges both ways"
    )
    parts = run.map(_weighted, pool, degrees=degrees, parts=joined, label="weights of edges")
    for done in (targets, sources, degrees, joined):
        done.remove()
    return ChunkedGraph((n, n), pool.chunk, parts)


def _normalised_graph(neighbours: NDArray[np.int32]) -> sparse.csr_array:
    n, k = neighbours.shape
    ends = (np.repeat(np.arange(n), k), neighbours.ravel())
    edges = sparse.csr_array((np.ones(neighbours.size, np.float32), ends), shape=(n, n))
    edges = edges.maximum(edges.T)
    scale = sparse.diags_array(1 / np.sqrt(np.maximum(edges.sum(axis=1), 1)), dtype=np.float32)
    return (scale @ edges @ scale).tocsr()


def _by_target(
    rows: slice, neighbours: NDArray[np.int32], *, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sort the edges of a chunk by the image that they point to; as many rows of as many edges as there were."""
    wrong = ((neighbours < 0) | (neighbours >= count)).any(axis=1)
    if wrong.any():
        raise ValueError(f"neighbours: one of row {rows.start + int(wrong.argmax())} is none of {count} images")
    order = np.argsort(neighbours, axis=None, kind="stable")
    sources = np.repeat(np.arange(rows.start, rows.stop, dtype=np.int32), neighbours.shape[1])
    return neighbours.ravel()[order].reshape(neighbours.shape), sources[order].reshape(neighbours.shape)


def _edges_into(rows: slice, neighbours: NDArray[np.int32], *, count: int, size: int) -> NDArray[np.int64]:
    """Count the edges from a chunk to each chunk, and those from it once more: it keeps both."""
    edges = np.bincount(neighbours.ravel() // size, minlength=count)
    edges[rows.start // size] += neighbours.size
    return edges


def _joined(
    rows: slice, neighbours: NDArray[np.int32], *, targets: Pool, sources: Pool, width: int
) -> tuple[Floats, NDArray[Any]]:
    """Join the images of a chunk with those that they name and those that name them; edges count 1 each so far."""
    n, k = neighbours.shape
    named, namers = [], []
    for number in range(targets.chunks):
        pointed_to, pointing = targets.mapped(number).ravel(), sources.mapped(number).ravel()
        first, end = np.searchsorted(pointed_to, np.array([rows.start, rows.stop], pointed_to.dtype))
        named.append(pointed_to[first:end] - rows.start)
        namers.append(pointing[first:end])
    found, columns = np.unique(np.concatenate([neighbours.ravel(), *namers]), return_inverse=True)
    there, back = (
        sparse.csr_array((np.ones(len(own), np.float32), (own, other)), shape=(n, len(found)))
        for own, other in (
            (np.repeat(np.arange(n), k), columns[: n * k]),
            (np.concatenate(named), columns[n * k :]),
        )
    )
    edges = there.maximum(back)
    part = np.zeros(
        1,
        [
            ("starts", np.int32, targets.chunk + 1),
            ("columns", np.int32, width),
            ("weights", np.float32, width),
            ("neighbours", np.int32, width),
        ],
    )
    for name, values in (
        ("starts", edges.indptr),
        ("columns", edges.indices),
        ("weights", edges.data),
        ("neighbours", found),
    ):
        part[name][0, : len(values)] = values
    return edges.sum(axis=1), part


def _weighted(rows: slice, neighbours: NDArray[np.int32], *, degrees: Pool, parts: Pool) -> NDArray[Any]:
    """Divide the weights of a chunk's edges by the square roots of the degrees of both ends."""
    part = parts.take([rows.start // degrees.chunk])
    edges, others = _matrix(part[0], len(neighbours))
    own, other = (1 / np.sqrt(np.maximum(degrees.take(ends), 1)) for ends in (np.arange(rows.start, rows.stop), others))
    part["weights"][0, : edges.nnz] = np.repeat(own, np.diff(edges.indptr)) * edges.data * other[edges.indices]
    return part


def _matrix(part: Any, n_rows: int) -> tuple[sparse.csr_array, NDArray[np.int32]]:
    """Give a chunk's edges as a matrix, and the images of its columns."""
    starts = part["starts"][: n_rows + 1]
    columns = part["columns"][: starts[-1]]
    others = part["neighbours"][: columns.max(initial=-1) + 1]
    return sparse.csr_array((part["weights"][: starts[-1]], columns, starts), shape=(n_rows, len(others))), others


def spread_over_graph(probabilities: Rows, graph: Graph, neighbour_weight: float) -> Rows:
    """Smooth probabilities over a graph by label spreading.

    Label spreading starts from few labels and from nothing for the other images; here it starts from a classifier's
    probabilities for every image. The result solves F = w S F + (1 - w) F0, with the graph S and the weight w, by
    Chebyshev iteration: each step goes beyond what the equation gives by a rate that follows from w, so fewer steps do.

    Parameters
    ----------
    probabilities : ndarray or Pool of float32, shape (n, n_classes)
    graph : csr_array of float32, shape (n, n), or ChunkedGraph
        As from `neighbour_graph`: symmetric, with eigenvalues from -1 to 1. With a csr_array all is computed in memory;
        with a ChunkedGraph a chunk at a time, and of the steps three at most are on disk.
    neighbour_weight : float
        The part of an image's probabilities that comes from its neighbours, from 0 (none) to below 1.

    Returns
    -------
    ndarray or Pool of float32, shape (n, n_classes)
        Each row sums to 1. An image without neighbours keeps its probabilities.

    Raises
    ------
    ValueError
        If the weight is no number from 0 to below 1, the graph is of another number of images, or a row of
        probabilities is negative, not finite or sums to 0.

    References
    ----------
    D. Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2003.

    G. H. Golub and R. S. Varga, "Chebyshev semi-iterative methods, successive overrelaxation iterative methods, and
    second order Richardson iterative methods", Numerische Mathematik 3, 1961.

    Examples
    --------
    >>> joined = sparse.csr_array(np.array([[0, 1], [1, 0]], np.float32))
    >>> spread_over_graph(np.eye(2, dtype=np.float32), joined, 0.5).round(2)
    array([[0.67, 0.33],
           [0.33, 0.67]], dtype=float32)
    """
    check_weight("neighbour_weight", neighbour_weight)
    if graph.shape != (len(probabilities), len(probabilities)):
        raise ValueError(f"graph: shape {graph.shape}, and {len(probabilities)} rows of probabilities")
    wrong = current().map_reduce(_wrong_rows, _first, probabilities)
    if len(wrong):
        raise ValueError(f"probabilities: row {wrong[0]} is not 0 or more with a sum above 0")
    rates = _rates(float(neighbour_weight))
    if isinstance(graph, ChunkedGraph):
        return _spread_by_chunks(probabilities, graph, neighbour_weight, rates)
    start = before = smoothed = as_pool(probabilities).array()
    for rate in rates:
        before, smoothed = smoothed, _mixed(graph @ smoothed, start, before, neighbour_weight, rate)
    normalised = _normalised(slice(0, len(start)), smoothed)
    return Pool(normalised, probabilities.chunk) if isinstance(probabilities, Pool) else normalised


def check_weight(name: str, weight: Any) -> None:
    """Refuse a weight of the neighbours that is no number from 0 to below 1.

    Parameters
    ----------
    name : str
        The argument's.
    weight : object

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_weight("neighbour_weight", 1)
    Traceback (most recent call last):
    ValueError: neighbour_weight: 1 is not between 0 and below 1
    """
    if not isinstance(weight, Real) or not 0 <= float(weight) < 1:
        raise ValueError(f"{name}: {weight!r} is not between 0 and below 1")


def _rates(weight: float) -> list[float]:
    """Give the rate of each step: 1 and above; none where there is nothing to smooth."""
    if not weight:
        return []
    steps = int(np.ceil(np.arccosh(1 / (TOLERANCE * (1 - weight))) / np.arccosh(1 / weight)))
    rates = [1.0, 1 / (1 - weight**2 / 2)]
    while len(rates) < steps:
        rates.append(1 / (1 - weight**2 * rates[-1] / 4))
    return rates[:steps]


def _spread_by_chunks(probabilities: Rows, graph: ChunkedGraph, weight: float, rates: list[float]) -> Rows:
    run, before, smoothed = current(), probabilities, probabilities
    how: dict[str, Any] = {"parts": graph.parts, "chunk": graph.chunk, "weight": weight, "label": "label spreading"}
    for rate in rates:
        after = run.map(_step, probabilities, before, last=as_pool(smoothed), rate=rate, **how)
        if before is not probabilities:
            as_pool(before).remove()
        before, smoothed = smoothed, after
    normalised: Rows = run.map(_normalised, smoothed)
    for done in (before, smoothed):
        if done is not probabilities:
            as_pool(done).remove()
    return normalised


def _step(
    rows: slice, start: Floats, before: Floats, *, last: Pool, parts: Pool, chunk: int, weight: float, rate: float
) -> Floats:
    after = np.empty_like(start)
    for number in range(rows.start // chunk, -(-rows.stop // chunk)):  # one, but where rows are in memory
        own = slice(number * chunk - rows.start, min((number + 1) * chunk, rows.stop) - rows.start)
        edges, others = _matrix(parts.take([number])[0], own.stop - own.start)
        after[own] = _mixed(edges @ last.take(others), start[own], before[own], weight, rate)
    return after


def _mixed(of_neighbours: Floats, start: Floats, before: Floats, weight: float, rate: float) -> Floats:
    """Mix an image's own probabilities with its neighbours', and go on from the step before the last by the rate."""
    mixed = np.float32(weight) * of_neighbours + np.float32(1 - weight) * start
    beyond: Floats = np.float32(rate) * (mixed - before) + before
    return beyond


def _normalised(rows: slice, probabilities: Floats) -> Floats:
    """Make each row sum to 1; what the last steps left below 0, by the tolerance, is 0."""
    positive = np.maximum(probabilities, 0)
    normalised: Floats = positive / positive.sum(axis=1, keepdims=True)
    return normalised


def _wrong_rows(rows: slice, probabilities: Floats) -> list[int]:
    """Give the first row that is no probability, if there is one."""
    sums = probabilities.sum(axis=1)
    wrong = ~((probabilities >= 0).all(axis=1) & (sums > 0) & np.isfinite(sums))
    return [rows.start + int(wrong.argmax())] if wrong.any() else []


def _first(earlier: list[int], later: list[int]) -> list[int]:
    return earlier or later
