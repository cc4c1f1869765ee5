"""The nearest neighbours of each image, between which labels can spread, without comparing all pairs.

All pairs of 60,000 images take a minute, of a million hours. Here:

1. k-means on a sample gives about as many lists as each then has rows: the square root of n.
2. Each row finds the lists whose centroids are nearest to it, and belongs to the first.
3. Rows are put in the order of their lists, so that a list is read at once.
4. Each row is compared with the rows of its nearest lists. A matrix product in float32 gives lower bounds of squared
   distances; the few rows that these do not rule out are compared by their differences, in float64.

A neighbour is missed only where its list was not looked at: one in 1,400 of 60,000 images. What is compared is compared
exactly, so that neither threads nor chunks change the result. Few rows are compared with all others.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_array

from fewlabels.arrays import Doubles, Floats, evenly_spaced, first_occurrences, squared_norms
from fewlabels.clustering.kmeans import KMeans
from fewlabels.compiled import compiled
from fewlabels.points import DTYPES, relative_to
from fewlabels.pool import Pool, Rows, as_pool
from fewlabels.run import current
from fewlabels.threads import for_each_chunk

LOST = 1e-14
"""Squared distances that are this part of the squared distance to the medians are mostly rounding."""
ALIKE = 1e-12
"""Points that differ by this part of their distance to the medians count as copies."""
FEW = 5_000
"""Up to so many rows all pairs are compared."""
PROBES = (16, 32)
"""Lists that each row looks at: n ** 0.25, but no fewer and no more than these."""
SAMPLE = 30
"""Rows for each list that k-means sees."""
CHUNK, PIECE = 2048, 1024
"""Rows that look for neighbours at once, and of those that they are compared with: 8 MB of products."""
FAR = 1000
"""Times the usual distance from the medians: for float32 no coordinate is farther off."""
SMALLEST = 1e-150
"""Distances that are squared without underflow."""
TINY = 1e-30
"""Added to squared distances in float32, below which it has few digits."""
NONE = np.iinfo(np.int32).max
"""The number of a row that is not there."""


def nearest_neighbours(features: Rows, n_neighbours: int = 5) -> Any:
    """Find the nearest neighbours of each image, itself left out.

    Up to 5,000 images all pairs are compared. Of more, each is compared with those in n ** 0.25 of about sqrt(n) lists,
    16 at least and 32 at most: from a million images on the time grows with n ** 1.5. That finds 99.9 % of the
    neighbours of Fashion-MNIST's 60,000 images; with copies of them moved by a pixel or two, 99.8 % of those of 240,000
    and of a million. Memory is bounded if the features are a pool on disk and the run has a folder for
    results.

    Parameters
    ----------
    features : ndarray or Pool of float64, float32 or uint8, shape (n, d)
        Compared in float64, less the medians, which points far from all others do not move. Those points do not change
        the lists of the others: k-means sees them 1,000 times as far off as is usual, and no farther.
    n_neighbours : int, default=5
        At most n - 1 are found.

    Returns
    -------
    ndarray or Pool of int32, shape (n, min(n_neighbours, n - 1))
        The nearest first; of many images, the lower row where two are equally near.

    Raises
    ------
    ValueError
        If a feature is NaN or infinite, squares overflow, or an image is so far from the medians, and so near to its
        neighbours, that rounding cannot tell which are the nearest.

    References
    ----------
    J. Sivic and A. Zisserman, "Video Google: A Text Retrieval Approach to Object Matching in Videos", ICCV 2003.
    H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011: the inverted file.

    Examples
    --------
    >>> nearest_neighbours(np.array([[0], [1], [9], [11]], np.float32), n_neighbours=1)
    array([[1],
           [0],
           [3],
           [2]], dtype=int32)
    """
    n = len(features)
    if n > max(FEW, 1) and n_neighbours > 0:
        rows = features if isinstance(features, Pool) else check_array(features, dtype=DTYPES, input_name="features")
        return _by_lists(rows, min(n_neighbours, n - 1))
    found = np.empty((n, 0), np.int32)
    if n > 1 and n_neighbours > 0:
        found = _among_all(as_pool(features).array(), min(n_neighbours, n - 1))
    return Pool(found, features.chunk) if isinstance(features, Pool) else found


def _among_all(features: NDArray[Any], count: int) -> NDArray[np.int32]:
    """Compare all pairs, some rows at a time, in float64."""
    points: Doubles = check_array(features, dtype=np.float64, input_name="features")
    with np.errstate(over="ignore"):
        points = points - np.median(points[evenly_spaced(len(points), 1000)], axis=0)
        squares = np.einsum("ij,ij->i", points, points)
    _refuse_overflow((float(squares.max()), int(squares.argmax())))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(points)
    distances, neighbours = search.kneighbors()
    for row in np.flatnonzero(np.square(distances[:, -1]) <= LOST * squares):
        _refuse_rounding(int(row), points[row], points[neighbours[row]])
    return np.asarray(neighbours, np.int32)


def _refuse_overflow(largest: tuple[float, int]) -> None:
    if not np.isfinite(4 * largest[0]):
        raise ValueError(f"features: the square of a distance overflows, as in row {largest[1]}")


def _refuse_rounding(row: int, point: Doubles, neighbours: Doubles) -> None:
    """Refuse a point that is at no distance from its neighbours, but for rounding, unless these are copies."""
    if np.abs(neighbours - point).max() > ALIKE * np.abs(point).max():
        raise ValueError(f"features: row {row} is too far from the medians to tell its neighbours from each other")


def _by_lists(features: Rows, count: int) -> Any:
    """Compare each row with those of the lists nearest to it."""
    run, pool = current(), as_pool(features)
    space = _space(check_array(pool.take(evenly_spaced(len(pool), 1000)), dtype=np.float64, input_name="features"))
    _refuse_overflow(run.map_reduce(_largest_square, _larger, features, medians=space.medians, label="check features"))

    lists = round(np.sqrt(len(pool)))
    sample = space.near(pool.take(evenly_spaced(len(pool), SAMPLE * lists)))
    sample = sample[np.unique(first_occurrences(sample))]  # lists of copies would be looked at for nothing
    lists = min(lists, len(sample))
    looked_at = min(lists, _probes(len(pool)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows that differ by rounding only can share a list
        centroids = KMeans(lists, random_state=0).fit(sample).cluster_centers_
    if lists > 1:  # lists near each other side by side: rows that are searched for together look at the same ones
        centroids = centroids[leaves_list(linkage(centroids, "average"))]

    numbers, probes = run.map(
        _nearest_lists,
        pool,
        centroids=centroids,
        looked_at=looked_at,
        space=space,
        outputs=2,
        label="lists of neighbours",
    )
    counts = run.map_reduce(_sizes, _stacked, probes, lists=lists)
    order = _Order(counts, probes.chunk)
    ordered = run.map(
        _ordered,
        numbers,
        order=order,
        numbers=numbers,
        probes=probes,
        features=pool,
        outputs=3,
        label="rows by list",
    )
    found = run.map(
        _nearest_rows,
        *ordered,
        count=count,
        starts=order.starts_of_lists(),
        space=space,
        all_numbers=ordered[0],
        all_features=ordered[2],
        features=pool,
        label="neighbours",
    )
    in_place = run.map(_in_place, numbers, order=order, found=found, label="neighbours of each row")
    return in_place if isinstance(features, Pool) else in_place.array()


def _probes(n: int) -> int:
    return int(np.clip(round(n**0.25), *PROBES))


class _Space(NamedTuple):
    """Where float32 sees features: from their medians, in a unit in which most are at 1 or less, none beyond FAR.

    No two rows are farther apart there than they are.
    """

    medians: Doubles
    unit: float

    def near(self, features: NDArray[Any]) -> Floats:
        seen = relative_to(features, self.medians, self.unit)
        return np.clip(seen, -FAR, FAR, out=seen)


def _space(sample: Doubles) -> _Space:
    medians = np.median(sample, axis=0)
    apart = np.abs(sample - medians).max(axis=1)
    usual = float(np.quantile(apart[apart > 0], 0.9)) if apart.any() else 1.0
    return _Space(medians, float(2.0 ** np.ceil(np.log2(max(usual, SMALLEST)))))


def _largest_square(rows: slice, features: NDArray[Any], *, medians: Doubles) -> tuple[float, int]:
    points = check_array(features, dtype=np.float64, input_name="features")
    with np.errstate(over="ignore"):
        points = points - medians
        squares = np.einsum("ij,ij->i", points, points)
    return float(squares.max()), rows.start + int(squares.argmax())


def _larger(a: tuple[float, int], b: tuple[float, int]) -> tuple[float, int]:
    return b if b[0] > a[0] else a


def _nearest_lists(
    rows: slice, features: NDArray[Any], *, centroids: Doubles, looked_at: int, space: _Space
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Find the lists that each row looks at, the nearest first; rows in the order of their lists, with their numbers.

    That of many chunks is not yet the order of all rows, see `_Order`.
    """
    probes = np.empty((len(features), looked_at), np.int32)
    among, lists = centroids.astype(np.float32), np.arange(len(centroids))

    def fill(some: slice) -> None:
        seen = space.near(features[some])
        nearest = _Nearest(seen, seen, np.full(len(seen), -1), probes.shape[1], 1.0)
        nearest.compare(np.arange(len(seen)), among, among, lists)
        probes[some] = nearest.numbers

    for_each_chunk(fill, len(features), CHUNK)
    order = np.argsort(probes[:, 0], kind="stable")
    return rows.start + order, probes[order]


def _sizes(rows: slice, probes: NDArray[np.int32], *, lists: int) -> NDArray[np.int64]:
    return np.bincount(probes[:, 0], minlength=lists)[None]


def _stacked(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([a, b])


class _Order(NamedTuple):
    """The order of all rows by list, of chunks whose rows are in that order: from how many each has in each list."""

    counts: NDArray[np.int64]
    """Of shape (chunks, lists)."""
    chunk: int

    def starts_of_lists(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.counts.sum(axis=0))])

    def sources(self, rows: slice) -> NDArray[np.int64]:
        """Find where the rows at these places of the whole order are in the chunks."""
        goals, sources, counts = (each.T.ravel() for each in (self._goals(), self._sources(), self.counts))
        first, last = np.maximum(goals, rows.start), np.minimum(goals + counts, rows.stop)
        return _ranges(sources + first - goals, np.maximum(last - first, 0))

    def goals(self, rows: slice) -> NDArray[np.int64]:
        """Find where the rows of whole chunks are in the whole order."""
        chunks = slice(rows.start // self.chunk, -(-rows.stop // self.chunk))
        return _ranges(self._goals()[chunks].ravel(), self.counts[chunks].ravel())

    def _sources(self) -> NDArray[np.int64]:
        before: NDArray[np.int64] = np.cumsum(self.counts, axis=1) - self.counts
        return before + self.chunk * np.arange(len(self.counts))[:, None]

    def _goals(self) -> NDArray[np.int64]:
        by_list = self.counts.T
        before: NDArray[np.int64] = np.cumsum(by_list).reshape(by_list.shape) - by_list
        return before.T


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join the numbers of ranges: of starts 7 and 1, lengths 2 and 3, these are 7, 8, 1, 2, 3."""
    return np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


def _ordered(
    rows: slice, _: NDArray[np.int64], *, order: _Order, numbers: Pool, probes: Pool, features: Pool
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
    """Put numbers, lists and features of rows in the order of all rows by list."""
    sources = order.sources(rows)
    taken = numbers.take(sources)
    return taken, probes.take(sources), features.take(taken)


def _in_place(rows: slice, numbers: NDArray[np.int64], *, order: _Order, found: Pool) -> NDArray[np.int32]:
    """Put neighbours in the order that rows had at first."""
    out = np.empty((len(numbers), found.shape[1]), np.int32)
    out[numbers - rows.start] = found.take(order.goals(rows))
    return out


def _nearest_rows(
    rows: slice,
    numbers: NDArray[np.int64],
    probes: NDArray[np.int32],
    points: NDArray[Any],
    *,
    count: int,
    starts: NDArray[np.int64],
    space: _Space,
    all_numbers: Pool,
    all_features: Pool,
    features: Pool,
) -> NDArray[np.int32]:
    """Find the neighbours of rows that are in the order of their lists, among the rows of the lists they look at."""
    out = np.empty((len(points), count), np.int32)

    def fill(some: slice) -> None:
        nearest = _Nearest(points[some], space.near(points[some]), numbers[some], count, space.unit)

        def look(members: NDArray[np.intp], among: int) -> None:
            for first in range(starts[among], starts[among + 1], PIECE):
                piece = np.arange(first, min(first + PIECE, starts[among + 1]))
                others = all_features.take(piece)
                nearest.compare(members, others, space.near(others), all_numbers.take(piece))

        lists, looked = probes[some].ravel(), np.argsort(probes[some], axis=None, kind="stable")
        for members in np.split(looked, np.flatnonzero(np.diff(lists[looked])) + 1):
            look(members // probes.shape[1], lists[members[0]])
        missing = nearest.forget_incomplete()
        for among in range(len(starts) - 1) if len(missing) else []:
            look(missing, among)
        offsets = points[some] - space.medians
        for row in np.flatnonzero(nearest.squares[:, -1] <= LOST * np.einsum("ij,ij->i", offsets, offsets)):
            others = features.take(nearest.numbers[row]) - space.medians
            _refuse_rounding(int(numbers[some][row]), offsets[row], others)
        out[some] = nearest.numbers

    for_each_chunk(fill, len(points), CHUNK)
    return out


class _Nearest:
    """The nearest so far of each of some rows, given as they are, as float32 sees them, and by number.

    Lower bounds of squared distances are those of float32, less all that its rounding can add.
    """

    def __init__(self, points: NDArray[Any], seen: Floats, own: NDArray[np.int64], count: int, unit: float) -> None:
        self.points, self.seen, self.own, self.scale = points, seen, own, unit**-2
        self.squares = np.full((len(points), count), np.inf)
        self.numbers = np.full((len(points), count), NONE)
        self.norms = self._least(seen)

    def _least(self, seen: Floats) -> Floats:
        """Compute squared norms, less the rounding of a product with them: of at most 2 ** -24 for each dimension."""
        return squared_norms(seen) * np.float32(1 - (seen.shape[1] + 16) * 2.0**-22)

    def compare(
        self, members: NDArray[np.intp], others: NDArray[Any], seen: Floats, numbers: NDArray[np.int64]
    ) -> None:
        """Compare some of the rows with others."""
        products = self.seen[members] @ seen.T
        _keep_nearest(products, members, self.points, others, self.norms, self._least(seen), self.own, numbers,
                      self.scale, self.squares, self.numbers)  # fmt: skip

    def forget_incomplete(self) -> NDArray[np.intp]:
        """Find the rows that were compared with too few, and start again with these."""
        missing = np.flatnonzero(self.numbers[:, -1] == NONE)
        self.squares[missing], self.numbers[missing] = np.inf, NONE
        return missing


@compiled
def _keep_nearest(
    products: Any,
    members: Any,
    points: Any,
    others: Any,
    norms: Any,
    other_norms: Any,
    own: Any,
    numbers: Any,
    scale: float,
    squares: Any,
    found: Any,
) -> None:
    """Insert those of the others that are nearer than the last of a row's nearest so far; if equally, the lower."""
    last = squares.shape[1] - 1
    for i in range(len(members)):
        row = members[i]
        limit = np.float32(squares[row, last] * scale + TINY) - norms[row]
        for j in range(len(others)):
            if other_norms[j] - np.float32(2) * products[i, j] > limit or numbers[j] == own[row]:
                continue
            if squares[row, last] == 0 and numbers[j] > found[row, last]:
                continue
            square = 0.0
            for t in range(points.shape[1]):
                difference = np.float64(points[row, t]) - np.float64(others[j, t])
                square += difference * difference
            place = last
            if square > squares[row, place] or (square == squares[row, place] and numbers[j] > found[row, place]):
                continue
            while place > 0 and (
                square < squares[row, place - 1]
                or (square == squares[row, place - 1] and numbers[j] < found[row, place - 1])
            ):
                squares[row, place], found[row, place] = squares[row, place - 1], found[row, place - 1]
                place -= 1
            squares[row, place], found[row, place] = square, numbers[j]
            limit = np.float32(squares[row, last] * scale + TINY) - norms[row]
