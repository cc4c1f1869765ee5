"""Measure in a process of its own, so that the peak memory is that of the one thing measured; and read that peak."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def alone(work: Callable[..., Result], *arguments: object) -> Result:
    """Call a function of a module in a fresh process, which inherits nothing but the environment."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def peak_gib(process: int | str = "self") -> float:
    """Read the largest memory that a process has held; StopIteration if it is ending."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**20
