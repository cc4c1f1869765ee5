"""Where the folder is that `data.folder` names."""

from pathlib import Path


def folder(name: str) -> Path:
    """Find a folder: a relative one is the repository's.

    `dvc exp run --temp` and `--queue` run in a copy of the repository within its .dvc folder. They bring along what git
    and DVC track, so the copy is looked in first; what nobody tracks is found in the repository itself.

    Parameters
    ----------
    name : str
        The value of data.folder.

    Returns
    -------
    Path
        It need not be there.
    """
    path = Path(name).expanduser()
    candidates = [path, *(parent.parent / path for parent in Path.cwd().parents if parent.name == ".dvc")]
    return next((one for one in candidates if one.is_dir()), candidates[0])


def say_what_is_not_noticed(path: Path) -> None:
    """Print a line if DVC does not watch a folder: it watches `images`, on which the stage download depends."""
    watched = Path.cwd() / "images"
    if not path.resolve().is_relative_to(watched.resolve()):
        print(
            f"{path} is not within {watched.name}/, so its changes are not noticed: "
            "`dvc repro --single-item --force download flatten` reads it anew"
        )
