"""Label Studio: the questions of now as tasks for it, and its JSON export as answers.

Our own key is in each task, and an answer is matched by it alone: a server gives its own numbers to tasks. The JSON
export is read, as the smaller ones drop what was skipped. Nothing of Label Studio is imported: files and plain HTTP do.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from labelling import answers, pictures
from labelling.answers import AUDIT, ROUND, WHYS, Answer
from labelling.project import Project

CONTROL = "label"
"""The name of our `<Choices>` in label_config.xml."""
THUMBNAIL = 512
"""Height and width of a picture in a task at most, in pixels."""
KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"


def key_of(file: str) -> str:
    """Make the key of a picture, by which its answers are found again."""
    return f"sha256:{hashlib.sha256(file.encode()).hexdigest()[:16]}"


def config(classes: Sequence[str]) -> str:
    """Write the labelling interface: one choice, required, a key for each class, none twice, and no aliases."""
    choices = [
        f"    <Choice value={quoteattr(name)}"
        + (f' hotkey="{KEYS[number]}"' if len(classes) <= len(KEYS) else "")
        + "/>"
        for number, name in enumerate(classes)
    ]
    return "\n".join(
        [
            "<View>",
            '  <Image name="image" value="$image" zoom="true"/>',
            f'  <Choices name="{CONTROL}" toName="image" choice="single-radio" required="true" showInline="true">',
            *choices,
            "  </Choices>",
            "</View>\n",
        ]
    )


def tasks(
    project: Project, questions: Sequence[Mapping[str, Any]], predicted: Mapping[int, tuple[int, float]] | None = None
) -> list[dict[str, Any]]:
    """Make a task of each question, in their order, with the picture in it.

    Parameters
    ----------
    project : Project
    questions : sequence of mapping
        With `row`, `file`, `round` and `why`.
    predicted : mapping of int to (int, float), optional
        Of rows, the likeliest class and its probability: shown beforehand, which leads people to agree. Never of the
        audit.

    Returns
    -------
    list of dict
    """
    made = []
    for one in questions:
        data = {"image": pictures.data_uri(project, one["row"], THUMBNAIL), "key": key_of(one["file"])}
        task: dict[str, Any] = {"data": data | {name: one[name] for name in ("row", "round", "file", "why")}}
        if predicted and one["row"] in predicted and one["why"] != AUDIT:
            label, score = predicted[one["row"]]
            value = {"choices": [project.classes[label]]}
            choice = {"from_name": CONTROL, "to_name": "image", "type": "choices", "value": value}
            task["predictions"] = [{"model_version": "fewlabels", "score": score, "result": [choice]}]
        made.append(task)
    return made


def read_export(tasks: Any, files: Mapping[str, str], classes: Iterable[str]) -> tuple[list[Answer], list[str]]:
    """Read a JSON export.

    Parameters
    ----------
    tasks : list of dict
        The content of the export.
    files : mapping of str to str
        The picture of each key.
    classes : iterable of str

    Returns
    -------
    list of Answer
        One for each annotation that is a skip, or has exactly one known choice of our control.
    list of str
        A sentence for each annotation that is neither, for each task without a known key, and for each task that
        people answered differently.

    Raises
    ------
    ValueError
        If it is no JSON export of tasks.
    """
    if not isinstance(tasks, list) or not all(isinstance(one, dict) and "data" in one for one in tasks):
        raise ValueError("no list of tasks with `data`: export as JSON, not JSON_MIN or CSV")
    known = set(classes)
    found, problems = [], []
    for task in tasks:
        data, where = task["data"], f"task {task.get('id')}"
        if "annotations" not in task:
            raise ValueError(f"{where}: no `annotations`: export as JSON, not JSON_MIN or CSV")
        if not isinstance(data, dict) or not isinstance(task["annotations"], list):
            problems.append(f"{where}: not of the form of an export")
            continue
        file = files.get(str(data.get("key")))
        if file is None:
            problems.append(f"{where}: its key {data.get('key')!r} is that of no picture here")
            continue
        given = []
        for annotation in task["annotations"]:
            number = annotation.get("id") if isinstance(annotation, dict) else None
            try:
                one = _answer(annotation, data, file, _choice(annotation, known))
                answers.line_of(one)
            except ValueError as error:
                problems.append(f"{where}, {file}: annotation {number}: {error}")
            except (AttributeError, KeyError, TypeError):
                problems.append(f"{where}, {file}: annotation {number}: not of the form of an export")
            else:
                given.append(one)
        if len({one.label for one in given if one.label}) > 1:
            says = ", ".join(f"{one.label!r} by {one.who}" for one in given)
            problems.append(f"{where}, {file}: people differ: {says}; all are kept, and the majority counts")
        found += given
    return found, problems


def _choice(annotation: Mapping[str, Any], classes: set[str]) -> str:
    """Find what an annotation chose; empty if it was skipped, which is looked at first: it may hold a prediction."""
    if annotation.get("was_cancelled"):
        return ""
    chosen = [
        name
        for one in annotation.get("result", [])
        if one.get("from_name") == CONTROL and one.get("type") == "choices"
        for name in one.get("value", {}).get("choices", [])
    ]
    if len(chosen) != 1:
        raise ValueError(f"{len(chosen)} choices in place of one" + (f": {', '.join(chosen)}" if chosen else ""))
    if chosen[0] not in classes:
        raise ValueError(f"{chosen[0]!r} is no class")
    return str(chosen[0])


def _answer(annotation: Mapping[str, Any], data: Mapping[str, Any], file: str, label: str) -> Answer:
    by = annotation.get("completed_by")
    who = by.get("email") or by.get("id") if isinstance(by, Mapping) else by
    why, number = data.get("why"), data.get("round")
    why = why if why in WHYS else ROUND
    number = number if isinstance(number, int) and number >= 0 and why != AUDIT else 0
    when = str(annotation.get("updated_at") or annotation.get("created_at") or answers.now())
    action = "label" if label else "skip"
    return Answer(file, label, action, f"label-studio:{who}", when, max(number, int(why == ROUND)), why)
