"""What the commands around answers do: the page, how far it is, and the ways in and out of the answers file."""

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labelling import imports, label_studio, project
from labelling.session import Session
from stages import command, files, reading


def label(who: str | None, port: int, browser: bool) -> None:
    """Serve the labelling page until Ctrl-C."""
    from labelling import server  # not above: only this needs it

    with command.at_root():
        server.run(Session(project.load(), _name(who)), port, browser)


def status() -> Iterator[str]:
    """Say how far the labelling is and what it has brought."""
    with command.at_root():
        session = Session(project.load(), _name(None))
        state, estimate = session.settled(), session.estimate()
    yield from session.problems
    for what in ("audit", "budget"):
        yield f"{what}: {state[what]['done']:,} of {state[what]['size']:,} labels"
    if state["budget"]["free"]:
        yield f"from before: {state['budget']['free']:,} labels, which cost no budget"
    yield f"round {state['round']['number']}: {state['round']['done']:,} of {state['round']['size']:,}"
    for one in estimate["points"]:
        interval = f"{100 * one['low']:.1f} to {100 * one['high']:.1f}"
        yield f"{one['labels']:,} labels: accuracy {100 * one['accuracy']:.1f} % on the audit, 95 % interval {interval}"
    if estimate["gain"] is not None:
        yield f"the next {estimate['more']} labels may bring {100 * estimate['gain']:.1f} points"
    if state["message"]:
        yield state["message"]


def imported(path: Path, who: str | None) -> list[str]:
    """Add answers from a file."""
    path = path.resolve()
    with command.at_root():
        return imports.from_file(project.load(), path, _name(who))


def tasks(output: Path, predictions: bool) -> str:
    """Write the questions of now for Label Studio."""
    output = output.resolve()
    with command.at_root():
        session = Session(project.load(), _name(None))
        made = _tasks(session, predictions)
        files.save_json(output, made)
        config = output.with_name("label_config.xml")
        with files.atomic_write(config) as partial:
            partial.write_text(label_studio.config(session.project.classes), encoding="utf-8")
    return f"{output}: {len(made):,} tasks; {config}: the labelling interface"


def push(url: str, title: str, predictions: bool) -> str:
    """Make a project of the questions of now on a server."""
    from labelling import label_studio_server

    if not 3 <= len(title) <= 50:
        raise SystemExit(f"--title: {title!r} has not 3 to 50 characters")
    with command.at_root():
        session = Session(project.load(), _name(None))
        made = _tasks(session, predictions)
        number = label_studio_server.push(url, title, label_studio.config(session.project.classes), made)
    return f"{url}/projects/{number}: {len(made):,} tasks; `fewlabels label-studio pull {number}` fetches the answers"


def pull(url: str, number: int) -> list[str]:
    """Add what people answered in a project on a server."""
    from labelling import label_studio_server

    with command.at_root():
        export = label_studio_server.pull(url, number)
        found, problems = imports.from_export(project.load(), export, f"project {number}")
        return [imports.added(found), *problems]


def _tasks(session: Session, predictions: bool) -> list[dict[str, Any]]:
    state = session.settled()
    questions = session.questions()
    if not questions:
        raise SystemExit(state["message"] or "there is nothing to ask")
    rows = [one["row"] for one in questions]
    try:
        return label_studio.tasks(session.project, questions, session.predicted(rows) if predictions else None)
    except reading.UnreadableError as error:
        raise SystemExit(f"a picture cannot be read: {error}; skip it on the page, or bring it back") from None


def _name(who: str | None) -> str:
    """Find out who answers: as given, or git's user.name, or the account's."""
    if who is None:
        asked = subprocess.run(["git", "config", "user.name"], capture_output=True, encoding="utf-8", check=False)
        who = asked.stdout.strip() or getpass.getuser()
    name = " ".join(who.split())
    if not name:
        raise SystemExit("--who: it is empty")
    return name
