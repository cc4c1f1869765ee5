"""The command `fewlabels`: look at a folder of pictures before anything runs, and label new pictures with a model."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Few labels, many pictures. The pipeline itself runs by `make repro` or `dvc repro`.",
)

Folder = Annotated[Path, typer.Argument(help="A folder of pictures.", show_default=False)]


@app.command()
def doctor(folder: Folder) -> None:
    """Report what a run would make of a folder: what is left out, copies, sizes, classes. Writes nothing."""
    from labelling import doctor  # not above: help should not wait for what they import

    for line in doctor.report(folder):
        typer.echo(line)


@app.command()
def predict(
    folder: Folder,
    model: Annotated[Path, typer.Option(help="A file of data/models: .joblib or .skops.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A CSV file; the terminal if not given.", show_default=False)
    ] = None,
) -> None:
    """Label the pictures of a folder with a saved model, as file,label,confidence,reason.

    A .joblib file is a program: load only those that you or people you trust have made. A .skops file is none.
    """
    from labelling import predict

    predict.run(folder, model, output)


@app.command()
def share(
    model: Annotated[Path, typer.Argument(help="A .joblib file of data/models.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The .skops file to write.", show_default=False)],
) -> None:
    """Write a model as a .skops file, which holds no program: people can load it without trusting you."""
    from labelling import models

    models.share(model, output)


if __name__ == "__main__":
    app()
