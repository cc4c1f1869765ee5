"""A labelling session of one person: what to ask next, what was answered, how far it is, and what it has brought.

All of it follows from the answers file, which is read again whenever somebody has written to it. So whoever stops goes
on where they were, several people can answer at once, and a killed process loses nothing that it has confirmed.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fewlabels.choosing.questions import next_questions, round_of
from fewlabels.learning_curve import expected_gain
from fewlabels.pool import as_pool
from fewlabels.scores import accuracy_interval
from fewlabels.suspects import suspects
from labelling import answers, verdicts
from labelling.answers import AUDIT, REVIEW, ROUND, TIE, Answer
from labelling.project import Project
from labelling.verdicts import SKIPPED, Labelled

AHEAD = 6
"""Questions that are handed out at once, so that their pictures are there before they are asked."""
GRID = 40
"""Pictures of a grid at most."""
MORE = 100
"""Labels whose gain is estimated."""
PAUSE = 120
"""Seconds between two answers that are no pace but a break."""
PACE = 30
"""Answers that the pace is measured on."""
HISTORY = 50
"""Answers that can be gone back to."""

Rows = NDArray[np.int64]


class Session:
    """What one person is asked, and what they answer.

    Parameters
    ----------
    project : Project
    who : str
        The name that their answers have.
    path : Path, default=answers.PATH
    """

    def __init__(self, project: Project, who: str, path: Path = answers.PATH) -> None:
        self.project, self.who, self.path = project, who, path
        self.problems: list[str] = []
        self._lock = threading.RLock()
        self._worker = ThreadPoolExecutor(1, "next round")
        self._read: tuple[int, int] | None = None
        self._round: tuple[Any, Future[Any]] | None = None
        self._handed: tuple[Any, list[int]] = (None, [])
        self._computed: dict[str, tuple[Any, Any]] = {}
        self._marked: list[int] = []
        if not path.exists():
            answers.append([], path)
        self._refresh()

    # ---- what a page shows

    def state(self) -> dict[str, Any]:
        """Tell everything that a page shows: the questions, how far it is, and what the labels have brought."""
        with self._lock:
            self._refresh()
            settings, sizes = self.project.settings, self.project.sizes()
            bought, audited = self._bought, len(self._audit.rows)
            number = min(self._number, len(sizes))
            start = self._end - sizes[number - 1]
            questions, busy, stage = self._questions()
            pace = self._pace()
            left = settings.clusters - bought + max(0, settings.audit - audited)
            return {
                "stage": stage,
                "busy": busy,
                "message": self._message(stage),
                "questions": questions[:AHEAD],
                "round": {"number": number, "done": bought - start, "size": self._end - start},
                "budget": {"done": bought, "size": settings.clusters, "free": len(self._training.rows) - bought},
                "audit": {"done": audited, "size": settings.audit},
                "pace": pace,
                "minutes": None if pace is None else left / pace,
                "history": self._history(),
                "undo": bool(self._mine),
                "problems": verdicts.report(self.problems),
            }

    def settled(self) -> dict[str, Any]:
        """Wait until the questions of now are chosen, and give the state."""
        while (state := self.state())["busy"]:
            with self._lock:
                under_way = self._round
            if under_way:
                wait([under_way[1]])
        return state

    def questions(self) -> list[dict[str, Any]]:
        """List all questions of now."""
        with self._lock:
            self._refresh()
            return self._questions()[0]

    def predicted(self, rows: Sequence[int]) -> dict[int, tuple[int, float]]:
        """Give the likeliest class of some pictures and its probability; of none, before there is a model."""
        with self._lock:
            self._refresh()
            model = self._model("earlier", self._earlier)
        if model is None:
            return {}
        probabilities = model.predict_proba(as_pool(self.project.features).take(rows))
        likeliest, sure = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
        return dict(zip(rows, zip(likeliest, sure, strict=True), strict=True))

    def estimate(self) -> dict[str, Any]:
        """Estimate the accuracy after each round on the audited pictures, and what further labels may bring."""
        with self._lock:
            self._refresh()
            known, audit = self._earlier, self._audit
        found: dict[str, Any] = self._kept("estimate", _digest(*known, *audit), lambda: self._estimate(known, audit))
        return found

    def grid(self) -> dict[str, Any]:
        """Group questions of this round that the model takes for one class.

        A wrong one costs two keys, to mark it and to answer it, and a group one more: it saves keys where the pictures
        are of its class more likely than not. The group is the one that is expected to save most; where none does, the
        largest.
        """
        with self._lock:
            self._refresh()
            questions, _, stage = self._questions()
            rows = [one["row"] for one in questions if one["row"] not in self._marked]
            predicted = self.predicted(rows) if stage == ROUND and rows else {}
            if not predicted:
                return {"label": None, "rows": [], "saves": False}
            groups: dict[int, list[tuple[float, int]]] = {}
            for row, (label, sure) in predicted.items():
                groups.setdefault(label, []).append((sure, row))
            saved = {label: sum(2 * sure - 1 for sure, _ in group) - 1 for label, group in groups.items()}
            label = max(saved, key=lambda one: (max(saved[one], 0), len(groups[one])))
            rows = [row for _, row in sorted(groups[label], reverse=True)[:GRID]]
            return {"label": label, "rows": rows, "saves": saved[label] > 0}

    def review(self) -> list[dict[str, Any]]:
        """List what is worth a second look: suspects first, then what people disagree about, then what was skipped."""
        with self._lock:
            self._refresh()
            training, model = self._training, self._model("now", self._training)
            found: list[dict[str, Any]] = []
            if model is not None:
                left_out = model.leave_one_out_proba()
                for place in suspects(training.labels, left_out):
                    row, likeliest = int(training.rows[place]), int(left_out[place].argmax())
                    if not self._verdicts[row].reviewed:
                        found.append(self._reviewed(row, "suspect") | {"predicted": likeliest})
            listed = {one["row"] for one in found}
            for kind in ("disputed", "skipped"):
                rows = [row for row, one in self._verdicts.items() if getattr(one, kind) and row not in listed]
                found += [self._reviewed(row, kind) for row in rows if not self._settled(row)]
            return found

    def likely(self, row: int) -> int | None:
        """Tell the class that the model takes a picture for; None of an audited one, which it must not influence."""
        with self._lock:
            self._refresh()
            verdict = self._verdicts.get(row)
            if self._questions()[2] == AUDIT or (verdict and verdict.audit):
                return None
            predicted = self.predicted([row])
            return predicted[row][0] if predicted else None

    # ---- what a person does

    def answer(self, rows: Sequence[int], label: int, review: bool = False) -> None:
        """Write an answer for some pictures; when this returns, it is on the disk. What was said already is not again.

        Parameters
        ----------
        rows : sequence of int
        label : int
            A class, or SKIPPED.
        review : bool, default=False
            Whether it confirms or corrects what was said before.

        Raises
        ------
        ValueError
            If a row or the label is none.
        """
        with self._lock:
            self._refresh()
            if not -1 <= label < len(self.project.classes):
                raise ValueError(f"label: {label} is no class")
            asked = {one["row"]: one for one in self._questions()[0]}
            lines, now = [], self._now()
            for row in dict.fromkeys(rows):
                if not 0 <= row < len(self.project.names):
                    raise ValueError(f"row: {row} is none of the {len(self.project.names)} pictures")
                verdict = self._verdicts.get(row)
                if row not in asked and not (verdict and verdict.says):
                    raise ValueError(f"{self.project.names[row]} is not asked about now: reload the page")
                why, number = self._reason(row, asked.get(row), review)
                said = verdict.says.get(self.who) if verdict else None
                if said is None or said.label != label or (review and said.why != REVIEW and why == REVIEW):
                    action = "skip" if label == SKIPPED else "label"
                    name = "" if label == SKIPPED else self.project.classes[label]
                    lines.append(Answer(self.project.names[row], name, action, self.who, now, number, why))
            self._write(lines)
            self._marked = [row for row in self._marked if row not in rows]

    def set_aside(self, rows: Sequence[int]) -> None:
        """Keep pictures out of the grid that were marked as wrong there: they are asked one by one."""
        with self._lock:
            self._marked += [row for row in rows if row not in self._marked]

    def undo(self) -> int | None:
        """Take back the latest answer of this person.

        Returns
        -------
        int or None
            The row, which is asked about again; None if there is nothing to take back.
        """
        with self._lock:
            self._refresh()
            if not self._mine:
                return None
            last = self._mine[-1]
            self._write([Answer(last.file, last.label, "undo", self.who, self._now(), last.round, last.why)])
            return self.project.row(last.file)

    # ---- the answers

    def _refresh(self) -> None:
        """Read the answers if somebody has written since."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise SystemExit(f"{self.path}: {error.strerror}: it was there when this began") from None
        version = (found.st_size, found.st_mtime_ns)
        if version == self._read:
            return
        self._answers, unread = answers.read(self.path)
        self._verdicts, unknown = self.project.verdicts(self._answers)
        self.problems = [*unread, *unknown, *self._late_audit()]
        self._mine = self._live_answers()
        self._training = verdicts.for_training(self._verdicts, self.project.originals)
        self._audit = verdicts.for_audit(self._verdicts)
        self._bought = int((self._training.rounds > 0).sum())
        self._number, self._end = round_of(self._bought, self.project.sizes())
        self._earlier = self._training.only(self._training.rounds < self._number)
        self._excluded = self._never_asked()
        self._read = version

    def _choose(self, *given: Any, **how: Any) -> tuple[int, NDArray[np.int64]]:
        """Choose the next questions, in the thread of the worker; of a pile on disk, a chunk at a time."""
        with self.project.run():
            return next_questions(*given, **how)

    def _now(self) -> str:
        """Give the time, later than that of any answer of this person."""
        mine = [one.when for one in self._answers if one.who == self.who]
        return answers.now(max(mine, key=datetime.fromisoformat, default=""))

    def _write(self, lines: Sequence[Answer]) -> None:
        if lines:
            answers.append(lines, self.path)
            self._refresh()

    def _late_audit(self) -> list[str]:
        """Say if the audit was raised after pictures that it would have drawn were trained on."""
        drawn = self.project.audit_order[: self.project.settings.audit]
        known = {row for row, one in self._verdicts.items() if one.round and not one.audit}
        late = sum(row in known for row in drawn)
        if not late:
            return []
        return [
            f"params.yaml: audit: it came late: {late:,} of the pictures that it draws were asked for training, "
            "and the estimate may be too good"
        ]

    def _live_answers(self) -> list[Answer]:
        """List this person's answers that no undo has taken back, in their order."""
        mine = [one for one in self._answers if one.who == self.who and one.why != answers.IMPORT]
        return [one for one in verdicts.live(mine) if self.project.row(one.file) is not None]

    def _reason(self, row: int, question: dict[str, Any] | None, review: bool) -> tuple[str, int]:
        """Find out why a picture is answered, and in which round: what was said once stays in its round."""
        verdict = self._verdicts.get(row)
        if verdict and verdict.audit:
            return AUDIT, 0
        if verdict and verdict.says and (review or self.who in verdict.says):
            return REVIEW, verdict.round
        if question:
            return question["why"], question["round"]
        return ROUND, verdict.round if verdict else 0

    def _history(self) -> list[dict[str, Any]]:
        """List the pictures that this person answered, the latest last, each with their answer."""
        latest: dict[int, dict[str, Any]] = {}
        for one in self._mine[-HISTORY:]:
            row = self.project.row(one.file)
            said = self._verdicts[row].says.get(self.who) if row in self._verdicts else None
            if row is None or said is None:
                continue
            latest.pop(row, None)
            latest[row] = {"row": row, "file": one.file, "label": said.label}
        return list(latest.values())

    def _pace(self) -> float | None:
        """Compute this person's answers in a minute, by the median of the latest; breaks do not count."""
        times = [datetime.fromisoformat(one.when) for one in self._mine[-PACE:]]
        steps = [(end - start).total_seconds() for start, end in pairwise(times)]
        steps = [step for step in steps if 0 < step < PAUSE]
        return 60 / max(median(steps), 0.05) if len(steps) >= 5 else None

    # ---- the questions

    def _questions(self) -> tuple[list[dict[str, Any]], bool, str]:
        """Find all questions of now, whether they are still being chosen, and what kind they are."""
        ties = [row for row, one in self._verdicts.items() if one.tie and self.who not in one.says]
        if ties:
            asked = [(row, self._verdicts[row]) for row in ties]
            return [self._question(row, AUDIT if one.audit else TIE, one.round) for row, one in asked], False, TIE
        settings = self.project.settings
        if len(self._audit.rows) < settings.audit and (rows := self._audit_rows()):
            return [self._question(row, AUDIT, 0) for row in rows], False, AUDIT
        if self.project.undecided and settings.cluster_margin.first_round <= (self._training.rounds == 1).sum():
            return [], False, "features"
        if self._bought >= settings.clusters:
            return [], False, "spent"
        rows, busy = self._round_rows()
        if not busy and not rows:
            return [], False, "empty"
        return [self._question(row, ROUND, self._number) for row in rows], busy, ROUND

    def _question(self, row: int, why: str, number: int) -> dict[str, Any]:
        return {"row": int(row), "file": self.project.names[row], "why": why, "round": number}

    def _audit_rows(self) -> list[int]:
        # People who answer at the same time have the same pictures in different orders.
        wanted = self.project.settings.audit - len(self._audit.rows)
        fresh = (row for row in self.project.audit_order if row not in self._verdicts or not self._verdicts[row].says)
        return sorted(islice(fresh, wanted), key=lambda row: crc32(f"{self.who}\n{row}".encode()))

    def _round_rows(self) -> tuple[list[int], bool]:
        """Find what is left of the round, and whether it is still being chosen, which is done beside in seconds."""
        training, wanted = self._training, self._end - self._bought
        undecided = [(row, one.round) for row, one in self._verdicts.items() if one.skipped or one.tie]
        skipped = np.array([row for row, _ in undecided], np.int64)
        skipped_rounds = np.array([round_ for _, round_ in undecided], np.int64)
        answered, exclude = {*training.rows.tolist(), *skipped.tolist()}, self._excluded
        if self.project.one_of_each_cluster:
            rows = self.project.nearest(training.rows, np.union1d(exclude, skipped))
            return [int(row) for row in rows[:wanted]], False
        base = (self._number, _digest(*self._earlier, exclude))
        key, handed = self._handed
        left = [row for row in handed if row not in answered] if key == base else []
        if left:
            return left[:wanted], False
        done = self._round[1] if self._round and self._round[0] == (base, len(answered)) else None
        if done is None:
            done = self._worker.submit(
                self._choose,
                self.project.query(self._number),
                self.project.features,
                *training,
                sizes=self.project.sizes(),
                exclude=exclude,
                skipped=skipped,
                skipped_rounds=skipped_rounds,
            )
            self._round = ((base, len(answered)), done)
        if not done.done():
            return [], True
        _, chosen = done.result()
        fresh = [int(row) for row in chosen]
        # People who answer at the same time begin at different places.
        shift = crc32(self.who.encode()) % max(1, len(fresh))
        self._handed = (base, fresh[shift:] + fresh[:shift])
        return list(self._handed[1]), False

    def _never_asked(self) -> Rows:
        """Find the rows that no round may ask about: audited pictures, and all copies."""
        audited = np.array([row for row, one in self._verdicts.items() if one.audit], np.int64)
        originals = self.project.originals
        return np.flatnonzero(np.isin(originals, originals[audited]) | (originals != np.arange(len(originals))))

    def _message(self, stage: str) -> str:
        first = self.project.settings.cluster_margin.first_round
        return {
            "spent": f"The budget of {self.project.settings.clusters:,} labels is spent. Now run: dvc repro",
            "empty": "No picture is left to ask about. Now run: dvc repro",
            "features": f"These {first:,} labels decide about the features. Now run: dvc repro, then label again",
        }.get(stage, "")

    # ---- the model

    def _model(self, name: str, known: Labelled) -> Any:
        """Train the classifier on some labels, once; None if they are of one class."""
        return self._kept(name, _digest(*known), lambda: self._trained(known))

    def _trained(self, known: Labelled) -> Any:
        if len(np.unique(known.labels)) < 2:
            return None
        return self.project.classifier().fit(as_pool(self.project.features).take(known.rows), known.labels)

    def _estimate(self, training: Labelled, audit: Labelled) -> dict[str, Any]:
        points = []
        for number in sorted({0, *training.rounds.tolist()}):
            used = training.only(training.rounds <= number)
            model = self._trained(used)
            if model is None or not len(audit.rows):
                continue
            right = int((model.predict(as_pool(self.project.features).take(audit.rows)) == audit.labels).sum())
            low, high = accuracy_interval(right, len(audit.rows))
            points.append(
                {
                    "round": number,
                    "labels": len(used.rows),
                    "accuracy": right / len(audit.rows),
                    "low": low,
                    "high": high,
                    "wrong": len(audit.rows) - right,
                }
            )
        gain = expected_gain([one["labels"] for one in points], [one["wrong"] for one in points], len(audit.rows), MORE)
        return {"points": points, "gain": gain, "more": MORE, "judged": len(audit.rows)}

    def _settled(self, row: int) -> bool:
        """Tell whether this person has looked at a picture again and it has a label."""
        verdict = self._verdicts[row]
        mine = verdict.says.get(self.who)
        return mine is not None and mine.why == REVIEW and verdict.label is not None

    def _reviewed(self, row: int, kind: str) -> dict[str, Any]:
        verdict = self._verdicts[row]
        says = [{"who": who, "label": say.label} for who, say in sorted(verdict.says.items())]
        return {"row": row, "file": self.project.names[row], "kind": kind, "label": verdict.label, "says": says}

    def _kept(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """Compute something once for each state of the answers."""
        if self._computed.get(name, (None, None))[0] != key:
            self._computed[name] = (key, make())
        return self._computed[name][1]


def _digest(*arrays: NDArray[Any]) -> int:
    return hash(tuple(one.tobytes() for one in arrays))
