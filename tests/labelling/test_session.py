"""A labelling session: what is asked in which order, and that everything follows from the answers file."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelling_pile import Pile

from fewlabels.choosing.rounds import simulate
from fewlabels.pool import Pool, write
from labelling import answers, project, verdicts
from labelling.answers import Answer
from labelling.session import Session
from labelling.verdicts import SKIPPED
from stages import budget, files, questions


def session(pile: Pile, who: str = "ana") -> Session:
    return Session(pile.project, who)


def answer_all(one: Session, pile: Pile, most: int = 1000) -> dict[str, Any]:
    """Answer what is asked, rightly."""
    state = one.settled()
    while state["questions"] and most:
        row = state["questions"][0]["row"]
        one.answer([row], int(pile.truth[row]))
        state, most = one.settled(), most - 1
    return state


def lines() -> list[Answer]:
    return answers.read()[0]


def test_the_audit_comes_first_then_rounds_until_the_budget_is_spent(pile: Pile) -> None:
    one = session(pile)
    state = one.state()
    assert (state["stage"], len(one.questions()), state["audit"]) == ("audit", 6, {"done": 0, "size": 6})
    state = answer_all(one, pile, 6)
    assert (state["stage"], state["round"]) == ("round", {"number": 1, "done": 0, "size": 8})
    state = answer_all(one, pile)
    assert state["stage"] == "spent"
    assert state["message"] == "The budget of 20 labels is spent. Now run: dvc repro"
    assert state["budget"] == {"done": 20, "size": 20, "free": 0}
    assert [line.why for line in lines()] == ["audit"] * 6 + ["round"] * 20
    assert [line.round for line in lines()] == [0] * 6 + [1] * 8 + [2] * 4 + [3] * 5 + [4] * 3
    assert len({line.file for line in lines()}) == 26


def test_right_answers_are_the_labels_that_the_simulation_buys(make_pile: Callable[..., Pile]) -> None:
    """Without an audit, which takes pictures out of the pool."""
    pile = make_pile(audit=0)
    answer_all(session(pile), pile)
    found, _ = pile.project.verdicts(lines())
    training = verdicts.for_training(found, pile.project.originals)
    query = partial(questions.active(pile.project.settings, 3), exclude=[])
    rows, _ = simulate(query, pile.project.features, lambda row: pile.truth[row], 20, rounds=pile.project.sizes())
    assert training.rows.tolist() == sorted(rows.tolist())
    assert (training.labels == pile.truth[training.rows]).all()


def test_a_pile_on_disk_is_asked_about_in_the_same_order(make_pile: Callable[..., Pile], tmp_path: Path) -> None:
    pile = make_pile(audit=0)
    answer_all(session(pile), pile)
    asked = [line.file for line in lines()]
    assert len(asked) == 20
    pile = make_pile(audit=0)  # with an empty answers file
    for number in range(3):
        write(tmp_path / "features", number, pile.project.features[40 * number : 40 * (number + 1)])
    on_disk = replace(pile, project=replace(pile.project, features=Pool(tmp_path / "features")))
    answer_all(session(on_disk), on_disk)
    assert [line.file for line in lines()] == asked
    assert not list(Path("data/scratch").iterdir())


def test_a_new_session_goes_on_where_the_last_one_was(pile: Pile) -> None:
    first = session(pile)
    answer_all(first, pile, 9)
    left = {one["row"] for one in first.questions()}
    second = session(pile)
    assert second.settled()["round"] == {"number": 1, "done": 3, "size": 8}
    assert {one["row"] for one in second.questions()} == left


def test_what_somebody_else_writes_meanwhile_counts(pile: Pile) -> None:
    ana, ben = session(pile), session(pile, "ben")
    answer_all(ana, pile, 8)
    state = ben.settled()
    assert (state["audit"]["done"], state["round"]["done"]) == (6, 2)
    answer_all(ben, pile)
    assert ana.settled()["stage"] == "spent"
    assert {line.who for line in lines()} == {"ana", "ben"}
    assert len(lines()) == 26


def test_a_skipped_picture_is_replaced_and_listed_for_review(pile: Pile) -> None:
    one = session(pile)
    state = answer_all(one, pile, 6)
    row = state["questions"][0]["row"]
    one.answer([row], SKIPPED)
    assert row not in {question["row"] for question in one.questions()}
    state = answer_all(one, pile)
    assert state["budget"]["done"] == 20
    assert [line.action for line in lines()].count("skip") == 1
    assert [item["row"] for item in one.review() if item["kind"] == "skipped"] == [row]
    one.answer([row], int(pile.truth[row]), review=True)
    assert [item["row"] for item in one.review() if item["kind"] == "skipped"] == []
    assert lines()[-1].label == pile.project.classes[pile.truth[row]]


def test_a_skipped_picture_of_the_audit_is_replaced(pile: Pile) -> None:
    one = session(pile)
    first = [question["row"] for question in one.questions()]
    one.answer(first[:1], SKIPPED)
    now = [question["row"] for question in one.questions()]
    assert set(first[1:]) < set(now)
    assert len(now) == 6
    assert first[0] not in now


def test_undo_takes_back_one_answer_after_the_other_and_they_are_asked_again(pile: Pile) -> None:
    one = session(pile)
    asked = [question["row"] for question in one.questions()]
    one.answer(asked[:1], 0)
    one.answer(asked[1:2], 1)
    one.answer(asked[:1], 2)  # a correction
    assert one.undo() == asked[0]
    assert one.state()["history"] == [
        {"row": asked[0], "file": pile.project.names[asked[0]], "label": 0},
        {"row": asked[1], "file": pile.project.names[asked[1]], "label": 1},
    ]
    assert one.undo() == asked[1]
    assert one.undo() == asked[0]
    assert one.undo() is None
    assert [question["row"] for question in one.questions()] == asked
    assert [line.action for line in lines()] == ["label"] * 3 + ["undo"] * 3
    assert not one.state()["undo"]


def test_nobody_takes_back_what_somebody_else_said(pile: Pile) -> None:
    answer_all(session(pile), pile, 1)
    assert session(pile, "ben").undo() is None


def test_the_same_answer_again_is_no_second_line(pile: Pile) -> None:
    one = session(pile)
    row = one.questions()[0]["row"]
    for _ in range(3):
        one.answer([row], 1)
    assert len(lines()) == 1


def test_a_tie_is_asked_of_somebody_else(pile: Pile) -> None:
    ana, ben, cem = (session(pile, who) for who in ("ana", "ben", "cem"))
    answer_all(ana, pile, 7)
    row = pile.project.row_of[lines()[-1].file]
    right = int(pile.truth[row])
    ben.answer([row], (right + 1) % 3)
    for one in (ana, ben):
        assert row not in {question["row"] for question in one.questions()}
    question = cem.state()["questions"][0]
    assert (question["row"], question["why"]) == (row, "tie")
    assert [item["row"] for item in cem.review() if item["kind"] == "disputed"] == [row]
    cem.answer([row], right)
    assert cem.settled()["stage"] == "round"
    found, _ = pile.project.verdicts(lines())
    assert (found[row].label, found[row].round) == (right, 1)


def test_copies_are_not_asked_about_and_copies_of_the_audit_neither(make_pile: Callable[..., Pile]) -> None:
    """Each picture twice, but for what it is called: the second half are copies of the first."""
    originals = np.tile(np.arange(45), 2)
    pile = make_pile(originals=originals)
    pile.project.features[45:] = pile.project.features[:45]
    answer_all(session(pile), pile)
    asked = [pile.project.row_of[line.file] for line in lines()]
    assert max(asked) < 45
    assert len(asked) == 26


def test_answers_from_before_are_not_asked_again_and_cost_nothing(pile: Pile) -> None:
    names = pile.project.names
    answers.append([Answer(names[row], "cat", "label", "old", answers.now(), 0, "import") for row in range(4)])
    one = session(pile)
    state = answer_all(one, pile)
    assert state["budget"] == {"done": 20, "size": 20, "free": 4}
    assert not {names[row] for row in range(4)} & {line.file for line in lines() if line.why != "import"}


def test_the_estimate_is_of_the_audit_after_each_round(pile: Pile) -> None:
    one = session(pile)
    answer_all(one, pile)
    estimate = one.estimate()
    assert [point["labels"] for point in estimate["points"]] == [8, 12, 17, 20]
    found, _ = pile.project.verdicts(lines())
    training, audit = verdicts.for_training(found, pile.project.originals), verdicts.for_audit(found)
    trained = pile.project.classifier().fit(pile.project.features[training.rows], training.labels)
    right = (trained.predict(pile.project.features[audit.rows]) == audit.labels).mean()
    last = estimate["points"][-1]
    assert last["accuracy"] == right
    assert last["low"] <= right <= last["high"]
    assert estimate["gain"] >= 0


def test_the_grid_is_of_one_class_and_what_was_marked_is_asked_one_by_one(pile: Pile) -> None:
    one = session(pile)
    assert one.grid()["label"] is None, "the audit is asked one by one"
    answer_all(one, pile, 6 + 8)
    one.settled()
    grid = one.grid()
    assert grid["rows"]
    assert len(grid["rows"]) <= 40
    one.set_aside(grid["rows"][:1])
    one.answer(grid["rows"][1:], grid["label"])
    again = one.grid()
    assert grid["rows"][0] not in again["rows"]
    assert grid["rows"][0] in {question["row"] for question in one.questions()}


def test_the_model_tells_nothing_of_audited_pictures(pile: Pile) -> None:
    one = session(pile)
    row = one.questions()[0]["row"]
    answer_all(one, pile, 6 + 8)
    one.settled()
    assert one.likely(row) is None
    asked = one.questions()[0]["row"]
    assert one.likely(asked) in (0, 1, 2)


def test_suspects_are_the_contradicted_labels_until_somebody_looks_again(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile(audit=0)
    wrong = (int(pile.truth[5]) + 1) % 3
    given = [pile.project.classes[wrong if row == 5 else int(label)] for row, label in enumerate(pile.truth)]
    answers.append(
        [
            Answer(name, label, "label", "old", answers.now(), 0, "import")
            for name, label in zip(pile.project.names, given, strict=True)
        ]
    )
    one = session(pile)
    suspects = [item for item in one.review() if item["kind"] == "suspect"]
    found = next(item for item in suspects if item["row"] == 5)
    assert found["predicted"] == pile.truth[5]
    assert found["says"] == [{"who": "old", "label": wrong}]
    one.answer([5], wrong, review=True)  # it stays
    assert 5 not in {item["row"] for item in one.review()}
    assert (lines()[-1].why, lines()[-1].round) == ("review", 0)


def test_a_label_from_before_overrides_nothing_and_gives_no_budget_back(pile: Pile) -> None:
    one = session(pile)
    answer_all(one, pile, 9)
    for line in [one for one in lines() if one.why in ("audit", "round")]:
        answers.append([replace(line, label="cat", why="import", round=0, when=answers.now())])
    state = one.settled()
    assert (state["budget"]["done"], state["budget"]["free"], state["audit"]["done"]) == (3, 0, 6)
    found, _ = pile.project.verdicts(lines())
    assert all(verdict.label == pile.truth[row] for row, verdict in found.items())


def test_an_audited_picture_never_becomes_a_question_of_a_round(pile: Pile) -> None:
    """Also if it is skipped when the first round has begun, and another takes its place in the audit."""
    one = session(pile)
    answer_all(one, pile, 8)
    audited = pile.project.row_of[lines()[0].file]
    one.answer([audited], SKIPPED)
    state = answer_all(one, pile)
    assert (state["stage"], state["audit"]["done"], state["budget"]["done"]) == ("spent", 6, 20)
    found, _ = pile.project.verdicts(lines())
    assert sum(verdict.audit for verdict in found.values()) == 7
    assert not any(verdict.audit and verdict.round for verdict in found.values())


def test_replacements_are_the_same_for_whoever_begins_anew(pile: Pile) -> None:
    one = session(pile)
    state = answer_all(one, pile, 6)
    for _ in range(3):
        one.answer([state["questions"][0]["row"]], SKIPPED)
        state = one.settled()
        answer_all(one, pile, 1)
        state = one.settled()
        again = session(pile)
        again.settled()
        assert {question["row"] for question in one.questions()} <= {question["row"] for question in again.questions()}
    assert answer_all(session(pile), pile)["stage"] == "spent"


def test_features_auto_replace_what_is_skipped_in_the_random_first_round(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile(features="auto", audit=0)
    waiting = Pile(replace(pile.project, undecided=True), pile.truth)
    answers.append([Answer(pile.project.names[0], "cat", "label", "old", answers.now(), 0, "import")])
    one = session(waiting)
    one.settled()
    first = {question["row"] for question in one.questions()}
    assert len(first) == 8
    for row in first:
        one.answer([row], SKIPPED)
    state = answer_all(one, waiting)
    assert (state["stage"], state["budget"]["done"]) == ("features", 8)
    assert not first & {pile.project.row_of[line.file] for line in lines() if line.action == "label"}


def test_two_people_are_asked_about_the_audit_in_different_orders(pile: Pile) -> None:
    orders = [[question["row"] for question in session(pile, who).questions()] for who in ("ana", "ben", "cem")]
    assert len({tuple(order) for order in orders}) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_an_audit_that_comes_late_is_said(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile(audit=0)
    answer_all(session(pile), pile)
    late = Pile(replace(pile.project, settings=pile.project.settings.model_copy(update={"audit": 60})), pile.truth)
    (problem,) = session(late).state()["problems"]
    assert problem.startswith("params.yaml: audit: it came late: ")


def test_a_tie_of_the_audit_stays_the_audits(pile: Pile) -> None:
    ana, ben, cem = (session(pile, who) for who in ("ana", "ben", "cem"))
    row = ana.questions()[0]["row"]
    ana.answer([row], 0)
    ben.answer([row], 1)
    assert cem.state()["questions"][0] == {"row": row, "file": pile.project.names[row], "why": "audit", "round": 0}


def test_composed_names_are_known_everywhere(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile()
    named = Pile(replace(pile.project, names=["\u00fc.png", *pile.project.names[1:]]), pile.truth)
    answers.append([Answer("u\u0308.png", "cat", "label", "ana", answers.now(), 0, "audit")])
    one = session(named)
    assert [item["row"] for item in one.state()["history"]] == [0]
    assert one.undo() == 0
    assert one.state()["history"] == []


def test_a_picture_that_is_not_asked_about_is_refused_and_the_budget_stays(pile: Pile) -> None:
    one = session(pile)
    answer_all(one, pile)
    said = {pile.project.row_of[line.file] for line in lines()}
    other = next(row for row in range(90) if row not in said)
    with pytest.raises(ValueError, match="is not asked about now: reload the page"):
        one.answer([other], 0)
    assert len(lines()) == 26


def test_more_questions_than_pictures_are_refused() -> None:
    with pytest.raises(SystemExit) as end:
        budget.check_pictures(60, 40, np.repeat(np.arange(45), 2))
    assert str(end.value) == (
        "params.yaml: audit: 60 pictures and the 40 labels of clusters are more than the 45 different pictures"
    )


def test_first_rounds_of_the_whole_budget_ask_for_one_of_each_cluster(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile(audit=0, clusters=8)
    files.save_array("data/clusters/assignments.npy", (np.arange(90) % 8).astype(np.int32))
    files.save_array("data/clusters/distances.npy", np.arange(90, dtype=np.float32)[::-1].copy())
    one = session(pile)
    one.settled()
    asked = [question["row"] for question in one.questions()]
    assert sorted(asked) == list(range(82, 90))
    one.answer([89], SKIPPED)
    one.settled()
    answer_all(one, pile)
    assert 81 in {pile.project.row_of[line.file] for line in lines()}, "the next nearest of the same cluster"


def test_features_auto_wait_for_the_pipeline_after_the_first_round(make_pile: Callable[..., Pile]) -> None:
    pile = make_pile(features="auto")
    waiting = Pile(replace(pile.project, undecided=True), pile.truth)
    state = answer_all(session(waiting), waiting)
    assert (state["stage"], state["budget"]["done"]) == ("features", 8)
    assert "dvc repro" in state["message"]
    assert answer_all(session(pile), pile)["stage"] == "spent"


@pytest.mark.parametrize(("rows", "label"), [([90], 0), ([-1], 0), ([0], 3), ([0], -2)])
def test_what_is_no_picture_or_class_is_refused_and_nothing_is_written(pile: Pile, rows: list[int], label: int) -> None:
    with pytest.raises(ValueError, match=r"^(row|label): "):
        session(pile).answer(rows, label)
    assert lines() == []


def test_the_pace_leaves_breaks_out(pile: Pile) -> None:
    names = pile.project.names
    times = ["10:00:00", "10:00:02", "10:00:04", "11:30:00", "11:30:02", "11:30:04", "11:30:06"]
    for row, time in enumerate(times):
        answers.append([Answer(names[row], "cat", "label", "ana", f"2026-01-01T{time}Z", 0, "audit")])
    assert session(pile).state()["pace"] == 30


def test_lines_that_do_not_count_are_said(pile: Pile) -> None:
    with Path("answers.csv").open("a", encoding="utf-8") as file:
        file.write("gone.png,cat,label,ana,2026-01-01T00:00:00Z,1,round\nhalf a li")
    assert session(pile).state()["problems"] == [
        "answers.csv: line 3, cut off: 1 cells in place of 7",
        "answers.csv: line 2: 'gone.png' is not among the training pictures (any more); its answer is kept",
    ]


def test_labels_are_wanted_only_where_people_are_the_oracle(pile: Pile) -> None:
    settings = pile.project.settings
    with pytest.raises(SystemExit, match=r"^params.yaml: oracle: set it to people"):
        project.load(settings.model_copy(update={"oracle": "labels"}))
    with pytest.raises(SystemExit, match=r"^data/flat/names.txt is not there yet: `dvc repro kmeans` makes it"):
        project.load(settings)
