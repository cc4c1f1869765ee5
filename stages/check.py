"""Check every name and value in params.yaml.

DVC runs this whenever the file has changed, so that a mistyped name is noticed even where no other stage runs.
"""

from stages import params


def main() -> None:
    params.load()


if __name__ == "__main__":
    main()
