"""Check every name and value in params.yaml, and remove the predictions of models that it does not name.

DVC runs this first, whenever the file has changed: a mistyped name is noticed even where no other stage runs, and
evaluate, which depends on the folder of predictions, finds in it what this run makes and nothing else.
"""

from stages import command, params, predictions


def main() -> None:
    settings = params.load()
    predictions.remove_others((classifier, name) for classifier, names in settings.label_sets for name in names)


if __name__ == "__main__":
    command.run(main)
