"""The command `fewlabels`: look at a folder of pictures, have people label them, and label new ones with a model."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Few labels, many pictures. The pipeline itself runs by `make repro` or `dvc repro`.",
)

of_answers = typer.Typer(no_args_is_help=True, help="What people have answered so far.")
of_label_studio = typer.Typer(no_args_is_help=True, help="A Label Studio server; its token is in LABEL_STUDIO_API_KEY.")
app.add_typer(of_answers, name="answers")
app.add_typer(of_label_studio, name="label-studio")

Who = Annotated[str | None, typer.Option(help="Whose answers these are; git's user.name if not given.")]
Url = Annotated[str, typer.Option(help="Of the server.", envvar="LABEL_STUDIO_URL")]
Predictions = Annotated[
    bool, typer.Option(help="Show what the model takes each picture for, which leads people to agree with it.")
]
HOME = "http://127.0.0.1:8080"

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


@app.command()
def label(
    who: Who = None,
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option(help="Whether to open a browser.")] = True,
) -> None:
    """Label pictures in the browser, by the keyboard: the next ones that the models need. Needs oracle: people."""
    from labelling import asking

    asking.label(who, port, browser)


@of_answers.command()
def status() -> None:
    """Say how far the labelling is, what it has brought, and which lines of answers.csv do not count."""
    from labelling import asking

    for line in asking.status():
        typer.echo(line)


@of_answers.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="labels.csv of an earlier project, or a JSON export of Label Studio.")],
    who: Who = None,
) -> None:
    """Add answers from a file. Those of a CSV file cost no budget. Once more changes nothing."""
    from labelling import asking

    for line in asking.imported(file, who):
        typer.echo(line)


@app.command()
def tasks(
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")] = Path("tasks.json"),
    predictions: Predictions = False,
) -> None:
    """Write the questions of now as tasks of Label Studio, and label_config.xml beside them."""
    from labelling import asking

    typer.echo(asking.tasks(output, predictions))


@of_label_studio.command()
def push(
    url: Url = HOME,
    title: Annotated[str, typer.Option(help="Of the new project, 3 to 50 characters.")] = "fewlabels",
    predictions: Predictions = False,
) -> None:
    """Make a project of the questions of now."""
    from labelling import asking

    typer.echo(asking.push(url, title, predictions))


@of_label_studio.command()
def pull(project: Annotated[int, typer.Argument(help="Its number, as push said.")], url: Url = HOME) -> None:
    """Add what people answered in a project."""
    from labelling import asking

    for line in asking.pull(url, project):
        typer.echo(line)


if __name__ == "__main__":
    app()
