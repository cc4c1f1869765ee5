"""Change the code in many places, one at a time, and count by module the changes that the tests notice.

mutmut makes the changes (mutants) and runs, for each, the tests that reach the changed function. From a module with
more mutants than `--each`, so many are drawn, always the same. `mutmut results` lists those that no test noticed,
`mutmut show` and the name of one shows it, and docs/mutants.md says which kinds are harmless.
"""

import json
import random
import subprocess
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stages import command

MUTANTS = Path("mutants")
UNNOTICED = {0, 5, 33}
"""What mutmut notes for a mutant whose tests pass, or that no test reaches."""


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("modules", nargs="*", default=["fewlabels", "stages"], help="packages or modules")
    parser.add_argument("--each", type=int, default=40, help="mutants of each module at most")
    arguments = parser.parse_args()
    # No mutant has this name: mutmut makes all of them, notes which tests reach which function, and ends with an error.
    subprocess.run(["mutmut", "run", "none"], check=False, stderr=subprocess.DEVNULL)
    wanted = {name: verdicts for name, verdicts in by_module().items() if name.startswith(tuple(arguments.modules))}
    drawn = [mutant for verdicts in wanted.values() for mutant in sample(list(verdicts), arguments.each)]
    subprocess.run(["mutmut", "run", *drawn], check=True)
    Console().print(table({name: verdicts for name, verdicts in by_module().items() if name in wanted}))


def by_module() -> dict[str, dict[str, int | None]]:
    """Read what became of each mutant: an exit code of pytest or of mutmut, or None if it was not run."""
    found = {}
    for path in sorted(MUTANTS.rglob("*.py.meta")):
        verdicts = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if verdicts:
            found[".".join(path.relative_to(MUTANTS).parts).removesuffix(".py.meta")] = verdicts
    return found


def sample(mutants: list[str], each: int) -> list[str]:
    return random.Random(0).sample(sorted(mutants), min(each, len(mutants)))  # noqa: S311


def table(verdicts_of: dict[str, dict[str, int | None]]) -> Table:
    """Count by module; the last row is all of them."""
    shown = Table("module", "mutants", "run", "noticed", "share")
    everything = {mutant: code for verdicts in verdicts_of.values() for mutant, code in verdicts.items()}
    for name, verdicts in (*verdicts_of.items(), ("all", everything)):
        codes = [code for code in verdicts.values() if code is not None]
        noticed = sum(code not in UNNOTICED for code in codes)
        share = f"{100 * noticed / len(codes):.0f} %" if codes else ""
        shown.add_row(name, f"{len(verdicts):,}", f"{len(codes):,}", f"{noticed:,}", share)
    return shown


if __name__ == "__main__":
    with command.at_root():
        main()
