"""Loops that numpy cannot express, compiled by numba: a module of its own, because most stages need none of them."""

from numba import njit

compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"arcp", "contract", "nnan", "nsz", "reassoc"})
"""Compile a loop and cache the result on disk; sums may be reordered, but comparisons with infinity stay exact."""
