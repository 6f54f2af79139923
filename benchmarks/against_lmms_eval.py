"""The same answers to MME and POPE, scored by lmms-eval and by us: where they agree, where they differ, and why.

``python -m benchmarks.against_lmms_eval --lmms-eval DIR [--questions ../shared/data]``, after ``pip install --no-deps
--target DIR lmms-eval==0.7.3 loguru``. Its own functions are called as its harness calls them; nothing of it is copied.
"""

import argparse
import importlib.util
import json
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from unlearnbench.tasks.mme.scores import PERCEPTION, mme
from unlearnbench.tasks.mme.scores import SCORERS as MME_SCORERS
from unlearnbench.tasks.pope.scores import SCORERS as POPE_SCORERS
from unlearnbench.tasks.pope.scores import SPLITS, pope

Questions = list[dict[str, Any]]
Scores = dict[str, float | None]

REFUSAL = "I'm not able to identify people."
STYLES: dict[str, dict[str, str]] = {
    "Yes / No": {"yes": "Yes", "no": "No"},
    "always Yes": {"yes": "Yes", "no": "Yes"},
    "always No": {"yes": "No", "no": "No"},
    "Yes. / No.": {"yes": "Yes.", "no": "No."},
    "YES / NO": {"yes": "YES", "no": "NO"},
    "in a sentence": {"yes": "Yes, there is.", "no": "There is no dog in the image."},
    "in bold": {"yes": "**Yes**", "no": "**No**"},
    "after blank lines": {"yes": "\n\nYes", "no": "\n\nNo"},
    "a refusal": {"yes": REFUSAL, "no": REFUSAL},
    "nothing": {"yes": "", "no": ""},
}
"""What is said where yes is right, and where no is."""

AWKWARD = (
    "Yes.", "NO", "There is no dog in the image.", "There isn't a dog.", "Yes, there is a dog, but it is not a cat.",
    REFUSAL, "I cannot provide identification.", "None", "Not sure", "\n\nYes", "**Yes**", "y", "",
)  # fmt: skip


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lmms-eval", type=Path, required=True)
    parser.add_argument("--questions", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    theirs = {task: module(options.lmms_eval, task) for task in ("mme", "pope")}
    console, questions = Console(), {"mme": read_mme(options.questions), "pope": read_pope(options.questions)}
    for task, score in (("mme", mme_scores), ("pope", pope_scores)):
        console.print(compared(task, questions[task], theirs[task], score))
    console.print(readings(theirs))
    for reason in reasons(questions, theirs):
        console.print(f"- {reason}", highlight=False)


def module(folder: Path, task: str) -> ModuleType:
    """The file of lmms-eval that scores ``task``, without importing the rest of it."""
    path = folder / "lmms_eval" / "tasks" / task / "utils.py"
    if not path.is_file():
        sys.exit(f"{path} is missing: pip install --no-deps --target {folder} lmms-eval==0.7.3 loguru")
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location(f"lmms_eval_{task}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    if task == "mme":
        made.eval_logger.remove()  # it would print every subtask
    return made


# ------------------------------------------------------------------------------------------------------ the questions
def read_mme(folder: Path) -> Questions:
    """MME's questions."""
    return [
        {"category": path.stem, "question_id": f"{path.stem}/{image}", "question": question, "answer": answer}
        for path in sorted((folder / "mme").glob("*.txt"))
        for image, question, answer in (line.split("\t") for line in path.read_text().splitlines())
    ]


def read_pope(folder: Path) -> Questions:
    """POPE's questions, its three splits one after the other."""
    return [
        {
            "category": split, "question_id": str(each["question_id"]), "image_source": each["image"],
            "question": each["text"], "answer": each["label"],
        }
        for split in SPLITS
        for each in map(json.loads, (folder / "pope" / f"coco_pope_{split}.json").read_text().splitlines())
    ]  # fmt: skip


def said(questions: Questions, style: dict[str, str]) -> Questions:
    """The questions with what is said in that style."""
    return [each | {"prediction": style[each["answer"].lower()]} for each in questions]


def mixed(questions: Questions) -> Questions:
    """Every style in turn, and one answer in eight for the wrong side."""
    rng, styles = random.Random(0), list(STYLES.values())
    wrong = {"yes": "no", "no": "yes"}
    return [
        each | {"prediction": rng.choice(styles)[right if rng.random() > 1 / 8 else wrong[right]]}
        for each in questions
        for right in [each["answer"].lower()]
    ]


# --------------------------------------------------------------------------------------------------------- the scores
def mme_scores(records: Questions, theirs: ModuleType) -> dict[str, Scores]:
    """Perception and cognition by each scorer."""
    results: dict[str, Questions] = {}
    for each in records:
        for key, value in theirs.mme_process_results(each, [each["prediction"]]).items():
            results.setdefault(key, []).append(value)
    scores: dict[str, Scores] = {
        "lmms-eval": {
            "perception": theirs.mme_aggregate_results(results["mme_perception_score"]),
            "cognition": theirs.mme_aggregate_results(results["mme_cognition_score"]),
        }
    }
    for name, scorer in MME_SCORERS.items():
        ours = mme(records, scorer, seed=0)
        scores[name] = {metric: ours[metric].value for metric in scores["lmms-eval"]}
    return scores


def pope_scores(records: Questions, theirs: ModuleType) -> dict[str, Scores]:
    """Accuracy, precision, recall, F1 and yes ratio by each scorer; lmms-eval's are over all splits together."""
    results: dict[str, Questions] = {}
    for each in records:
        for key, value in theirs.pope_process_results(each, [each["prediction"]]).items():
            results.setdefault(key, []).append(value)
    names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1_score"}
    scores: dict[str, Scores] = {
        "lmms-eval": {
            name: getattr(theirs, f"pope_aggregate_{theirs_name}")(results[f"pope_{theirs_name}"])
            for name, theirs_name in (names | {"yes_ratio": "yes_ratio"}).items()
        }
    }
    for name, scorer in POPE_SCORERS.items():
        ours = pope(records, scorer, seed=0)
        scores[name] = {metric: ours[metric].value for metric in scores["lmms-eval"]}
    return scores


Scoring = Callable[[Questions, ModuleType], dict[str, Scores]]


def compared(task: str, questions: Questions, theirs: ModuleType, score: Scoring) -> Table:
    """A line for every style of answering; a score of ours that is not theirs is marked."""
    table = Table(title=f"{task}: ours that differ from lmms-eval are marked *")
    table.add_column("what is said")
    styles = [(name, said(questions, style)) for name, style in STYLES.items()] + [("all mixed", mixed(questions))]
    for index, (name, records) in enumerate(styles):
        scores = score(records, theirs)
        if not index:
            for scorer in scores:
                for metric in scores[scorer]:
                    table.add_column(f"{scorer}\n{metric}", justify="right")
        table.add_row(name, *cells(scores))
    return table


def cells(scores: dict[str, Scores]) -> Iterable[str]:
    """The numbers of a line."""
    for values in scores.values():
        for metric, value in values.items():
            yield shown(value) + ("" if same(value, scores["lmms-eval"][metric]) else " *")


def shown(value: float | None) -> str:
    """A number, or that there is none."""
    return "none" if value is None else f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"


def same(one: float | None, other: float | None) -> bool:
    """Equal but for rounding."""
    return one is other is None or (one is not None and other is not None and abs(one - other) < 1e-6)


# ------------------------------------------------------------------------------------------------------- the readings
def readings(theirs: dict[str, ModuleType]) -> Table:
    """What each makes of a single awkward answer."""
    table = Table("answer", "mme: lmms-eval", "official", "pope: lmms-eval", "official", "strict")
    for text in AWKWARD:
        by_mme = theirs["mme"].parse_pred_ans(text)
        by_pope = text.lower().strip()  # compared with "yes" and "no" as it is
        ours = [scorers[name].read(text) for scorers, name in (
            (MME_SCORERS, "official"), (POPE_SCORERS, "official"), (POPE_SCORERS, "strict"),
        )]  # fmt: skip
        words = [{True: "yes", False: "no", None: "neither"}[each] for each in ours]
        by_pope = by_pope if by_pope in ("yes", "no") else "wrong"
        table.add_row(repr(text), by_mme.replace("other", "neither"), words[0], by_pope, words[1], words[2])
    return table


def reasons(questions: dict[str, Questions], theirs: dict[str, ModuleType]) -> Iterable[str]:
    """Why they differ, each shown by the numbers that it stands with."""
    with_stop = pope_scores(said(questions["pope"], STYLES["Yes. / No."]), theirs["pope"])
    assert with_stop["lmms-eval"]["accuracy"] == 0
    assert with_stop["official"]["accuracy"] == 1
    yield "POPE: lmms-eval wants the whole answer to be yes or no: with a full stop, accuracy 0 against 1."
    yes = pope_scores(said(questions["pope"], STYLES["always Yes"]), theirs["pope"])
    assert yes["lmms-eval"]["yes_ratio"] == 0.5
    assert yes["official"]["yes_ratio"] == 1
    yield "POPE: its yes ratio counts right answers, not given ones: always yes has 0.5 against 1."
    half = said(questions["pope"], {"yes": "Yes", "no": "No"})
    for place, each in enumerate(half):
        if place % 4 < 2:  # yes and no are right in turn
            each["prediction"] = REFUSAL
    refused = pope_scores(half, theirs["pope"])
    assert refused["lmms-eval"]["recall"] == 1
    assert (refused["strict"]["recall"] or 0) < 0.6
    yield (
        "POPE: an answer that is neither is no false negative there: with half of all refused its recall is 1, ours "
        f"{shown(refused['strict']['recall'])} (strict)."
    )
    no = pope_scores(said(questions["pope"], STYLES["always No"]), theirs["pope"])
    assert no["lmms-eval"]["precision"] == 0
    assert no["official"]["precision"] is None
    yield "POPE: precision where nothing was answered yes is 0 there, undefined here."
    mix = mixed(questions["pope"])
    pooled = pope_scores(mix, theirs["pope"])["official"]["f1"]
    every = pope([each | {"category": SPLITS[0]} for each in mix], seed=0)["f1"].value
    assert pooled is not None
    assert every is not None
    assert pooled != every
    yield (
        f"POPE: ours are means over the three splits, its over all questions: F1 {pooled:.5f} against {every:.5f} for "
        "the same readings."
    )
    blank = mme_scores(said(questions["mme"], STYLES["after blank lines"]), theirs["mme"])
    assert blank["lmms-eval"]["perception"] == 200 * len(PERCEPTION)
    assert blank["official"]["perception"] == 50 * len(PERCEPTION)
    yield (
        "MME: lmms-eval strips white space and full stops before it looks at four characters, MME's script does not: "
        "yes after two blank lines is not found, perception 500 against 2000."
    )
    assert theirs["mme"].parse_pred_ans("y") == "yes"
    assert MME_SCORERS["official"].read("y") is None
    yield "MME: a single y or n is an answer there and none in MME's script."
    for style in ("Yes / No", "always Yes", "always No", "Yes. / No.", "YES / NO"):
        scores = mme_scores(said(questions["mme"], STYLES[style]), theirs["mme"])
        assert scores["lmms-eval"] == scores["official"]
    yield "MME: for plain yes and no, in any case of letters and with a full stop, the two agree."


if __name__ == "__main__":
    main()
