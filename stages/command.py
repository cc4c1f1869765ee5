"""What the commands of stages/ and experiments/ share: they explain themselves, and run at the repository's root."""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository's root: all paths of stages and parameters start there."""
OUT_OF_MEMORY = "ResourceExhaustedError"
"""TensorFlow's MemoryError, by its name: importing it takes seconds."""


def run(main: Callable[[], object]) -> None:
    """Run a module that takes no arguments, from wherever it is called; `--help` shows its docstring instead.

    Parameters
    ----------
    main : callable
        Of the module that Python was started with.

    Raises
    ------
    SystemExit
        With one line, if there is an argument, the operating system refuses a file, or memory is not enough.
    """
    parser_of(main).parse_args()
    with at_root():
        main()


def parser_of(function: Callable[..., object]) -> argparse.ArgumentParser:
    """Make a parser of command lines that shows the docstring of a function's module for help."""
    module = sys.modules[function.__module__]
    return argparse.ArgumentParser(
        prog=f"python -m {module.__spec__.name}" if module.__spec__ else None,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


@contextmanager
def at_root() -> Iterator[None]:
    """Run a block at the repository's root; a file or memory that is refused, and Ctrl-C, end it without a traceback.

    Raises
    ------
    SystemExit
        With one line that names the file or says how much memory; with 130, as shells have it, after Ctrl-C.
    """
    os.chdir(ROOT)
    # Else Python's garbage collector looks through all objects at the end, for a second if TensorFlow is among them.
    # What only a cycle of objects holds is then not closed, so files are closed by a `with`.
    atexit.register(gc.freeze)
    try:
        yield
    except OSError as error:
        raise SystemExit(": ".join(str(part) for part in (error.filename, error.strerror or error) if part)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != OUT_OF_MEMORY:
            raise
        details = [line for line in str(error).splitlines() if isinstance(error, MemoryError) or "OOM" in line][:1]
        raise SystemExit(f"{': '.join(('not enough memory', *details))}; see docs/scale.md") from None
