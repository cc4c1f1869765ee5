"""Check every name and value in params.yaml, and remove the predictions of models that it does not name.

DVC runs this first, whenever the file has changed: a mistyped name is noticed even where no other stage runs, and
evaluate, which depends on the folder of predictions, finds in it what this run makes and nothing else. It writes always
the same, so that what depends on it does not run again.
"""

from pathlib import Path

from stages import command, files, params, predictions

CHECKED = Path("data/checked.txt")


def main() -> None:
    settings = params.load()
    with files.atomic_write(CHECKED) as partial:
        partial.write_text("Every name and value in params.yaml is one that this project knows.\n", encoding="utf-8")
    predictions.remove_others((classifier, name) for classifier, names in settings.label_sets for name in names)


if __name__ == "__main__":
    command.run(main)
