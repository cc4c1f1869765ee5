"""A simulated person at the labelling page: what people's labels reach, what mistakes cost, and what the grid saves.

`python -m benchmarks.person`, some 25 minutes; `--quick` for a check. It needs `dvc repro kmeans`, and for clip art
Debian's package openclipart-png. The person answers through the page's own HTTP requests, with true labels, a share of
mistakes and a share of skips. Writes to metrics/benchmarks.json.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
import uvicorn
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from tqdm import tqdm

from benchmarks import own_images
from benchmarks.results import mean_and_sd, percent, record
from fewlabels.arrays import Floats
from fewlabels.choosing.rounds import simulate
from fewlabels.learning_curve import expected_gain
from fewlabels.networks.pretrained import PretrainedEmbedding
from labelling import answers, server, verdicts
from labelling.project import Project
from labelling.session import Session
from stages import command, files, inputs, params, questions

LABELS, AUDIT = 500, 100
SEEDS, FEW_SEEDS = 20, 5
MISTAKES = 0.05
MORE = 100
SECONDS_A_KEY = 1.0
"""For one key or click, whatever it is: what is measured is how many there are."""
KILLS = 20


@dataclass
class Person:
    """Somebody who answers through the page.

    Attributes
    ----------
    url : str
        Of the page, with its token.
    truth : ndarray of uint8, shape (n,)
        What they see.
    mistakes, skips : float, default=0
        The shares of their answers that are another class, or none.
    seed : int, default=0
    keys : int
        How many keys and clicks it took.
    wrong : list of int
        The rows that they were wrong about.
    """

    url: str
    truth: NDArray[np.uint8]
    mistakes: float = 0
    skips: float = 0
    seed: int = 0
    keys: int = 0
    wrong: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.http = requests.Session()
        self.n_classes = int(self.truth.max()) + 1

    def get(self, path: str) -> Any:
        answer = self.http.get(self.url + path, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, what: dict[str, Any]) -> Any:
        origin = "/".join(self.url.split("/")[:3])
        answer = self.http.post(self.url + path, json=what, headers={"Origin": origin}, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def label(self, grid: str = "", most: int | None = None) -> dict[str, Any]:
        """Answer until nothing is asked any more, or so many times; by the grid, "always" or where it "saves" keys."""
        state, answered = self.get("state"), 0
        while most is None or answered < most:
            if state["busy"]:
                time.sleep(0.02)
                state = self.get("state")
            elif not state["questions"]:
                break
            elif grid and state["stage"] == "round" and self._grouped(grid):
                state = self._confirm()
            else:
                state = self._answer(state["questions"][0])
                answered += 1
        return dict(state)

    def review(self, most: int) -> None:
        """Look at the first suspects again, and this time see what is there."""
        for one in [one for one in self.get("review") if one["kind"] == "suspect"][:most]:
            self.keys += 1
            self.post("answer", {"row": one["row"], "label": int(self.truth[one["row"]]), "review": True})

    def _answer(self, question: dict[str, Any]) -> Any:
        self.keys += 1
        row = question["row"]
        label = int(self.truth[row])
        draw = self.random.random()
        if draw < self.skips:
            return self.post("answer", {"row": row, "label": None})
        if draw < self.skips + self.mistakes and question["why"] == "round":
            label = int(label + self.random.integers(1, self.n_classes)) % self.n_classes
            self.wrong.append(row)
        return self.post("answer", {"row": row, "label": label})

    def _grouped(self, grid: str) -> bool:
        """Ask for a group, and tell whether it is worth looking at."""
        self.group = self.get("grid")
        return self.group["label"] is not None and (grid == "always" or self.group["saves"])

    def _confirm(self) -> Any:
        group = self.group
        right = [row for row in group["rows"] if self.truth[row] == group["label"]]
        wrong = [row for row in group["rows"] if self.truth[row] != group["label"]]
        self.keys += len(wrong) + 1
        return self.post("answer", {"rows": right, "label": group["label"], "wrong": wrong})


@contextmanager
def page(project: Project, path: Path) -> Iterator[str]:
    """Serve the page in this process, and give its address."""
    with server.listening(0) as listener:
        host = f"{server.ADDRESS}:{listener.getsockname()[1]}"
        session = Session(project, "person", path)
        config = uvicorn.Config(server.app(session, "token", host), log_level="error", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield f"http://{host}/token/"
        finally:
            running.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Pile:
    """Pictures whose labels are known here and hidden from the page, and others that judge what comes out."""

    name: str
    features: Floats
    truth: NDArray[np.uint8]
    judging: Floats
    judging_truth: NDArray[np.uint8]
    settings: params.Params

    def project(self, seed: int, audit: int | None = None) -> Project:
        """Give what the page needs, for a seed of its own."""
        count = len(self.truth)
        budget = {"clusters": LABELS, "audit": AUDIT if audit is None else audit}
        settings = self.settings.model_copy(update={"seed": seed} | budget)
        classes = [str(number) for number in range(int(self.truth.max()) + 1)]
        names = [f"{row:06}" for row in range(count)]
        return Project(settings, names, classes, self.features, np.arange(count), False)

    def accuracy_of(self, project: Project, rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> float:
        """Train the classifier that chooses on some labels, and score it on the pictures that judge."""
        trained = project.classifier().fit(self.features[rows], labels)
        return float(trained.score(self.judging, self.judging_truth))


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="one seed, nothing is written")
    quick = parser.parse_args().quick
    seeds, few = (1, 1) if quick else (SEEDS, FEW_SEEDS)
    sections: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for pile in (fashion_mnist(), clip_art()):
        sections["people"].append(reaches(pile, seeds))
        sections["mistakes"].append(with_mistakes(pile, few))
        sections["grid"].append(keys(pile, few))
        sections["choosing"].append(choosing(pile))
    sections["kills"].append(killed(1 if quick else KILLS))
    for name, rows in sections.items():
        if not quick:
            record(name, rows, [])
        TABLES[name](rows)


# ---- the pictures


def fashion_mnist() -> Pile:
    """Take what describe has made of the repository's images."""
    train, test = (np.asarray(inputs.features(part)) for part in ("train", "test"))
    truth, judging = (np.asarray(files.load_array(inputs.FLAT / f"{part}_labels.npy")) for part in ("train", "test"))
    return Pile("Fashion-MNIST", train, truth, test, judging, _settings())


def clip_art() -> Pile:
    """Take the clip art of `benchmarks.own_images`, seen by the pretrained network; 600 pictures judge."""
    found = own_images.clip_art((224, 224, 3))
    seen = PretrainedEmbedding(found.image_shape).fit_transform(found.images)
    order = np.random.default_rng(0).permutation(len(found.labels))
    judge, pool = np.sort(order[: own_images.JUDGED]), np.sort(order[own_images.JUDGED :])
    return Pile("clip art", seen[pool], found.labels[pool], seen[judge], found.labels[judge], _settings())


def _settings() -> params.Params:
    return params.load().model_copy(update={"oracle": "people", "features": "hog"})


# ---- what is measured


def reaches(pile: Pile, seeds: int) -> dict[str, Any]:
    """Compare what people's labels reach with the simulation that knows all labels; and judge the audit's judgement."""
    ours, simulated, widths, held, gains = [], [], [], [], []
    for seed in tqdm(range(seeds), desc=f"{pile.name}: people", disable=None):
        project = pile.project(seed)
        with tempfile.TemporaryDirectory() as folder, page(project, Path(folder, "answers.csv")) as url:
            person = Person(url, pile.truth, seed=seed)
            person.label()
            estimate = person.get("estimate")
            training = _labelled(project, Path(folder, "answers.csv"))
        accuracy = pile.accuracy_of(project, training.rows, training.labels)
        last = estimate["points"][-1]
        ours.append(accuracy)
        held.append(last["low"] <= accuracy <= last["high"])
        widths.append(last["high"] - last["low"])
        gains += _gains(pile, project, training, estimate["points"])
        rows, labels = simulate(
            questions.active(project.settings, len(project.classes)),
            pile.features,
            lambda asked: pile.truth[asked],
            LABELS,
            rounds=project.sizes(),
        )
        simulated.append(pile.accuracy_of(project, rows, labels))
    expected, real = np.array(gains).T
    return {
        "images": pile.name,
        "labels": LABELS,
        "audit": AUDIT,
        "people": mean_and_sd(ours),
        "simulation": mean_and_sd(simulated),
        "held": int(sum(held)),
        "seeds": seeds,
        "width": float(np.mean(widths)),
        "expected_gain": mean_and_sd(expected.tolist()),
        "real_gain": mean_and_sd(real.tolist()),
        "gain_error": float(np.mean(np.abs(expected - real))),
    }


def _gains(
    pile: Pile, project: Project, training: verdicts.Labelled, points: list[dict[str, Any]]
) -> list[tuple[float, float]]:
    """Pair the gain of MORE labels that is expected after each round with the real one, on the pictures that judge."""
    counts = [one["labels"] for one in points]
    accuracies = []
    for one in points:
        used = training.rounds <= one["round"]
        accuracies.append(pile.accuracy_of(project, training.rows[used], training.labels[used]))
    pairs = []
    for end in range(3, len(points) + 1):
        if counts[end - 1] + MORE <= counts[-1]:
            expected = expected_gain(counts[:end], [one["wrong"] for one in points[:end]], AUDIT, MORE)
            later = float(np.interp(counts[end - 1] + MORE, counts, accuracies))
            pairs.append((float(expected or 0), later - accuracies[end - 1]))
    return pairs


def with_mistakes(pile: Pile, seeds: int) -> dict[str, Any]:
    """Answer one in twenty questions wrongly, then review as many suspects as there were mistakes."""
    right, wrong, reviewed, found = [], [], [], []
    for seed in tqdm(range(seeds), desc=f"{pile.name}: mistakes", disable=None):
        project = pile.project(seed)
        with tempfile.TemporaryDirectory() as folder, page(project, Path(folder, "answers.csv")) as url:
            person = Person(url, pile.truth, mistakes=MISTAKES, skips=0.02, seed=seed)
            person.label()
            given = _labelled(project, Path(folder, "answers.csv"))
            person.review(len(person.wrong))
            corrected = _labelled(project, Path(folder, "answers.csv"))
        right.append(pile.accuracy_of(project, given.rows, pile.truth[given.rows]))
        wrong.append(pile.accuracy_of(project, given.rows, given.labels))
        reviewed.append(pile.accuracy_of(project, corrected.rows, corrected.labels))
        errors = [int((one.labels != pile.truth[one.rows]).sum()) for one in (given, corrected)]
        found.append(1 - errors[1] / max(1, errors[0]))
    return {
        "images": pile.name,
        "right": mean_and_sd(right),
        "wrong": mean_and_sd(wrong),
        "reviewed": mean_and_sd(reviewed),
        "found": mean_and_sd(found),
        "seeds": seeds,
    }


def keys(pile: Pile, seeds: int) -> dict[str, Any]:
    """Count keys and clicks for the same number of labels, one by one and by the grid."""
    counts: dict[str, list[float]] = {"": [], "saves": [], "always": []}
    for seed in tqdm(range(seeds), desc=f"{pile.name}: keys", disable=None):
        for way, found in counts.items():
            project = pile.project(seed, audit=0)
            with tempfile.TemporaryDirectory() as folder, page(project, Path(folder, "answers.csv")) as url:
                person = Person(url, pile.truth, seed=seed)
                person.label(grid=way)
                found.append(person.keys)
    return {"images": pile.name, "labels": LABELS, "seeds": seeds} | {
        way or "one": {"mean": float(np.mean(found)), "sd": float(np.std(found, ddof=1)) if len(found) > 1 else 0.0}
        for way, found in counts.items()
    }


def choosing(pile: Pile) -> dict[str, Any]:
    """Time how long the page waits for each round's pictures, and for the answer to a key."""
    project = pile.project(0)
    with tempfile.TemporaryDirectory() as folder, page(project, Path(folder, "answers.csv")) as url:
        person = Person(url, pile.truth)
        waits, keys = [], []
        state = person.get("state")
        while state["questions"] or state["busy"]:
            start = time.perf_counter()
            if state["busy"]:
                while state["busy"]:
                    time.sleep(0.01)
                    state = person.get("state")
                waits.append(time.perf_counter() - start)
            else:
                state = person._answer(state["questions"][0])
                keys.append(time.perf_counter() - start)
    return {
        "images": pile.name,
        "pictures": len(pile.truth),
        "first_round": waits[0],
        "later_rounds": float(np.median(waits[1:])),
        "longest": max(waits),
        "answer_ms": 1000 * float(np.median(keys)),
        "answer_ms_95": 1000 * float(np.quantile(keys, 0.95)),
    }


def killed(kills: int) -> dict[str, Any]:
    """Kill the server at random moments of a whole session; compare what it had confirmed with what is in the file."""
    truth = np.asarray(files.load_array(inputs.FLAT / "train_labels.npy"))
    random = np.random.default_rng(0)
    kept: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(Path(folder))
        moments = np.sort(random.integers(0, LABELS + AUDIT, kills))
        for number in range(kills + 1):
            process, url = _started(copy)
            person = Person(url, truth, seed=number)
            more = int(moments[number]) - len(kept) if number < kills else None
            with suppress(requests.RequestException):
                _answer_until_killed(person, kept, more, process, float(random.uniform(0, 0.02)))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        lines = (copy / "answers.csv").read_text(encoding="utf-8").splitlines()[1:]
    written = [line.split(",")[0] for line in lines]
    names = inputs.names()
    lost = sum(names[row] not in written for row in kept)
    twice = len(written) - len(set(written))
    return {"kills": kills, "confirmed": len(kept), "lines": len(written), "lost": lost, "twice": twice}


def _answer_until_killed(
    person: Person, kept: dict[int, int], more: int | None, process: subprocess.Popen[str], delay: float
) -> None:
    """Answer so many questions, then have the server killed while the next answers are on their way."""
    state = person.get("state")
    while state["questions"] or state["busy"]:
        if state["busy"]:
            time.sleep(0.02)
            state = person.get("state")
            continue
        if more is not None and more <= 0:
            more = None
            threading.Timer(delay, os.killpg, (process.pid, signal.SIGKILL)).start()
        row = state["questions"][0]["row"]
        state = person._answer(state["questions"][0])
        kept[row] = int(person.truth[row])
        more = None if more is None else more - 1


def _copy(folder: Path) -> Path:
    """Make a copy of the code with the data linked, whose params.yaml asks for people."""
    copy = folder / "copy"
    copy.mkdir()
    for name in ("fewlabels", "labelling", "stages"):
        shutil.copytree(name, copy / name)
    (copy / "data").symlink_to(Path("data").resolve())
    yaml = YAML()
    settings = yaml.load(Path("params.yaml"))
    settings |= {"oracle": "people", "audit": AUDIT, "clusters": LABELS}
    settings["label_sets"] = {"lr": [], "lr_distances": [], "nn": [], "ridge": ["active"], "ensemble": []}
    with (copy / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(settings, file)
    (copy / "answers.csv").write_text(Path("answers.csv").read_text(encoding="utf-8").splitlines()[0] + "\n")
    return copy


def _started(copy: Path) -> tuple[subprocess.Popen[str], str]:
    """Start `fewlabels label` and read its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labelling.command", "label", "--no-browser", "--who", "person"],
        cwd=copy,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
    )
    words = process.stdout.readline().split() if process.stdout else []
    return process, next(word for word in words if word.startswith("http"))


def _labelled(project: Project, path: Path) -> verdicts.Labelled:
    found, _ = project.verdicts(answers.read(path)[0])
    return verdicts.for_training(found, project.originals)


# ---- tables


def print_people(rows: list[dict[str, Any]]) -> None:
    """Print the section `people` of metrics/benchmarks.json."""
    title = f"{LABELS} labels from a person and {AUDIT} for the audit; accuracy of kernel ridge regression, %"
    table = Table(title=title)
    for heading in ("images", "person", "simulation", "interval holds", "its width", "gain expected", "real", "error"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        table.add_row(
            row["images"],
            percent(row["people"]),
            percent(row["simulation"]),
            f"{row['held']} of {row['seeds']}",
            f"{100 * row['width']:.1f}",
            percent(row["expected_gain"]),
            percent(row["real_gain"]),
            f"{100 * row['gain_error']:.2f}",
        )
    Console(width=120).print(table)


def print_mistakes(rows: list[dict[str, Any]]) -> None:
    """Print the section `mistakes` of metrics/benchmarks.json."""
    table = Table(title=f"{100 * MISTAKES:.0f} % of {LABELS} labels wrong; accuracy, %")
    for heading in ("images", "all right", "with mistakes", "after the review", "mistakes found, %"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        table.add_row(row["images"], *(percent(row[one]) for one in ("right", "wrong", "reviewed", "found")))
    Console(width=120).print(table)


def print_grid(rows: list[dict[str, Any]]) -> None:
    """Print the section `grid` of metrics/benchmarks.json."""
    table = Table(title=f"Keys and clicks for {LABELS} labels, and minutes at {SECONDS_A_KEY:g} s each")
    for heading in ("images", "one by one", "minutes", "grid where it saves", "minutes", "grid always", "minutes"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        cells = []
        for way in ("one", "saves", "always"):
            cells += [f"{row[way]['mean']:.0f} ± {row[way]['sd']:.0f}"]
            cells += [f"{row[way]['mean'] * SECONDS_A_KEY / 60:.1f}"]
        table.add_row(row["images"], *cells)
    Console(width=120).print(table)


def print_choosing(rows: list[dict[str, Any]]) -> None:
    """Print the section `choosing` of metrics/benchmarks.json."""
    table = Table(title="Seconds that the page waits for a round, and milliseconds for the answer to a key")
    for heading in ("images", "pictures", "first round, s", "later, s", "longest, s", "key, ms", "95 % of keys, ms"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        seconds = (f"{row[one]:.1f}" for one in ("first_round", "later_rounds", "longest"))
        times = (f"{row[one]:.0f}" for one in ("answer_ms", "answer_ms_95"))
        table.add_row(row["images"], f"{row['pictures']:,}", *seconds, *times)
    Console(width=120).print(table)


def print_kills(rows: list[dict[str, Any]]) -> None:
    """Print the section `kills` of metrics/benchmarks.json."""
    table = Table(title="The server killed at random moments of a session")
    for heading in ("kills", "answers confirmed", "lines in the file", "lost", "twice"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{row[one]:,}" for one in ("kills", "confirmed", "lines", "lost", "twice")))
    Console(width=120).print(table)


TABLES = {
    "people": print_people,
    "mistakes": print_mistakes,
    "grid": print_grid,
    "choosing": print_choosing,
    "kills": print_kills,
}
"""What prints each section of metrics/benchmarks.json that is written here."""

if __name__ == "__main__":
    with command.at_root():
        main()
