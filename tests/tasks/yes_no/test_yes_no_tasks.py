"""MME and POPE as tasks: what is asked, of how many, in which words, and what the row says of it."""

from collections import Counter
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from unlearnbench.config import resolve
from unlearnbench.embedded import embedded_folder
from unlearnbench.errors import UsageError
from unlearnbench.runtime.run import Run
from unlearnbench.tasks.mme.scores import SUBTASKS
from unlearnbench.tasks.mme.task import MMETask
from unlearnbench.tasks.pope.scores import SPLITS
from unlearnbench.tasks.pope.task import POPETask
from unlearnbench.tasks.yes_no.reader import YesNoQuestion

SHARED = Path(__file__).parents[4] / "shared" / "data"
PROMPTS = Path(__file__).parent / "prompts"
QUESTION = {
    "mme": "Is there a train in this image? Please answer yes or no.",
    "pope": "Is there a snowboard in the image?",
}
TEMPLATES = {
    # What the templates of the published checkpoints render for one picture and one question, and nothing else of them.
    "qwen2.5-vl": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
        "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "llama-3.2-vision": (
        "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
        "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|image|>{% else %}{{ c['text'] }}{% endif %}"
        "{% endfor %}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
}


def task(kind: Any, **options: Any) -> Any:
    return kind(resolve(kind.Options, kind.name, "tiny", options))


class Answering:
    """Stands in for a model: says the same to everything, and counts what it is asked and sees."""

    device = torch.device("cpu")

    def __init__(self, says: str = "Yes") -> None:
        self.says, self.seen, self.asked = says, list[Path](), Counter[tuple[Path, str]]()
        self.held, self.ahead = set[Path](), list[Path]()

    def prepare(self, queries: Any) -> Any:
        for query in queries:
            self.asked[query.images[0], query.text] += 1
            self.held.add(query.images[0])
            if query.images[0] not in self.seen[-1:]:
                self.seen.append(query.images[0])
        return queries

    def look_ahead(self, paths: Any) -> None:
        self.ahead = [*dict.fromkeys(paths)] or self.ahead

    def let_go(self, paths: Any) -> None:
        self.held -= set(paths)

    def unchanged(self) -> Any:
        return nullcontext()

    def generate(self, batch: Any, *, max_new_tokens: int, shared: bool) -> list[str]:
        assert self.held == {query.images[0] for query in batch}, "pictures are held that nobody asks about"
        return [self.says] * len(batch)


# ----------------------------------------------------------------------------------------------------------- prompts
@pytest.fixture(scope="module")
def words() -> Any:
    """A tokeniser: only its way of rendering templates counts."""
    from transformers import AutoTokenizer

    import unlearnbench.embedded as embedded

    return AutoTokenizer.from_pretrained(Path(embedded.__file__).parent / "tiny-qwen2.5-vl")


@pytest.mark.parametrize("family", TEMPLATES)
@pytest.mark.parametrize("kind", [MMETask, POPETask])
def test_prompts_are_what_they_were(kind: Any, family: str, words: Any) -> None:
    """To accept a change, delete the file and run this again; then raise the task's version."""
    from unlearnbench.models.contract.prompt import chat

    wordings = {}
    assert set(kind.Options.prompts) == set(get_args(kind.Options.model_fields["prompt"].annotation))
    for name in kind.Options.prompts:
        text = task(kind, prompt=name).prompt(QUESTION[kind.name])
        wordings[name] = words.apply_chat_template(
            chat(text), chat_template=TEMPLATES[family], add_generation_prompt=True, tokenize=False
        )
    shown = "".join(f"=== {name}\n{text}\n" for name, text in wordings.items())
    file = PROMPTS / f"{kind.name}-{family}.txt"
    if not file.exists():
        file.write_text(shown)
        pytest.fail(f"{file} was written; look at it and commit it")
    assert shown == file.read_text()


def test_the_wording_is_part_of_the_row_s_key_and_so_is_the_scorer() -> None:
    seen = [
        task(MMETask, **options).protocol
        for options in ({}, {"prompt": "fiubench"}, {"prompt": "lmms-eval"}, {"scorer": "strict"})
    ]
    assert len({str(each) for each in seen}) == len(seen)
    assert seen[0]["scorer"] == {"name": "official", "version": "1"}
    assert len(seen[0]["prompt"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("option", "names"), [("scorer", "'official' or 'strict'"), ("prompt", "'official', 'lmms-eval' or 'yes-no'")]
)
def test_unknown_names_are_refused(option: str, names: str) -> None:
    with pytest.raises(UsageError, match=rf"--set pope.{option}=mine: Input should be {names}"):
        task(POPETask, **{option: "mine"})


def test_tables_without_a_name_are_taken_only_where_the_command_gives_them_to_the_task(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.parquet").touch()
    assert not MMETask.is_in(tmp_path)
    assert not POPETask.is_in(tmp_path)
    assert MMETask.root(tmp_path) == POPETask.root(tmp_path) == tmp_path
    (tmp_path / "data").rename(tmp_path / "pope")
    assert POPETask.is_in(tmp_path)
    assert not MMETask.is_in(tmp_path)


# ------------------------------------------------------------------------------------------------------------ limits
def questions(kind: Any) -> list[YesNoQuestion]:
    """The real questions where there are, else the embedded ones."""
    folder = SHARED / kind.name
    if not folder.is_dir():
        return list(kind.read(embedded_folder()).questions)
    if kind is POPETask:
        import json

        return [
            YesNoQuestion(split, str(each["question_id"]), Path(each["image"]), each["text"], each["label"] == "yes")
            for split in SPLITS
            for each in map(json.loads, (folder / f"coco_pope_{split}.json").read_text().splitlines())
        ]
    lines = [(path.stem, *line.split("\t")) for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
    return [YesNoQuestion(name, f"{name}/{image}", Path(name, image), q, a == "Yes") for name, image, q, a in lines]


@pytest.mark.parametrize("limit", [1, 2, 3, 28, 100, 301])
def test_a_limited_mme_has_whole_pairs_from_every_subtask(limit: int) -> None:
    every = questions(MMETask)
    some = MMETask.limited(every, limit, seed=0)
    assert set(Counter(each.question_id for each in some).values()) == {2}
    assert len(some) == max(2, limit // 2 * 2)
    if limit >= 2 * len({each.category for each in every}):
        counts = Counter(each.category for each in some)
        assert counts.keys() == {each.category for each in every} <= set(SUBTASKS)
        whole = Counter(each.category for each in every)
        assert max(counts.values()) - min(n for name, n in counts.items() if n < whole[name]) <= 2
    assert MMETask.limited(every, limit, seed=0) == some
    if 2 < limit < len(every) // 2:
        assert MMETask.limited(every, limit, seed=1) != some
    assert MMETask.limited(every, 10**6, seed=0) == every


@pytest.mark.parametrize("limit", [1, 6, 60, 600])
def test_a_limited_pope_has_as_many_of_each_split_and_answer(limit: int) -> None:
    every = questions(POPETask)
    some = POPETask.limited(every, limit, seed=0)
    counts = Counter((each.category, each.answer) for each in some)
    assert counts == {(split, answer): max(1, limit // 6) for split in SPLITS for answer in (True, False)}
    positives = [{(q.image, q.question) for q in some if q.answer and q.category == split} for split in SPLITS]
    assert positives[0] == positives[1] == positives[2], "the splits share their positives, and so do their samples"
    assert POPETask.limited(every, limit, seed=0) == some


@pytest.mark.parametrize("kind", [MMETask, POPETask])
def test_a_limited_row_says_so(kind: Any) -> None:
    limited = task(kind, limit=12)
    evaluation = limited.evaluate(Answering(), limited.load("embedded", None), Run())
    whole = {"mme": 320, "pope": 720}[kind.name]
    assert evaluation.facts == {"questions": 12, "of": whole, "asked": evaluation.facts["asked"], "limited": True}
    assert len(evaluation.records) == 12
    assert evaluation.metrics[f"{kind.name}.accuracy"].value == 0.5


# ------------------------------------------------------------------------------------------------------------ asking
def test_pope_asks_every_distinct_question_once_and_scores_all(tmp_path: Path) -> None:
    source = SHARED / "pope"
    if not source.is_dir():
        pytest.skip("POPE's questions are not on this machine")
    (tmp_path / "pope" / "images").mkdir(parents=True)
    for path in source.iterdir():
        (tmp_path / "pope" / path.name).symlink_to(path)
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    for name in {each.image.name for each in questions(POPETask)}:
        (tmp_path / "pope" / "images" / name).hardlink_to(tmp_path / "picture.png")
    pope, model = task(POPETask), Answering("yes")
    evaluation = pope.evaluate(model, pope.load(str(tmp_path), None), Run())
    assert (len(model.asked), model.asked.total(), len(evaluation.records)) == (5127, 5127, 9000)
    assert evaluation.metrics["pope.f1"].value == pytest.approx(2 / 3)
    assert (evaluation.metrics["pope.accuracy"].n, evaluation.facts["asked"]) == (9000, 5127)
    assert len(model.seen) == 500, "all that is asked about a picture is asked together"


@pytest.mark.parametrize("kind", [MMETask, POPETask])
def test_questions_about_a_picture_stand_together(kind: Any) -> None:
    whole, model = task(kind, batch_size=7), Answering()
    data = whole.load("embedded", None)
    whole.evaluate(model, data, Run())
    assert len(model.seen) == len({each.image for each in data.asked.questions})
    assert model.ahead == model.seen
    assert not model.held
    assert all(one != other for one, other in pairwise(model.seen))


def test_baselines_need_no_model() -> None:
    mme = task(MMETask)
    records = [mme.record(each) for each in questions(MMETask)]
    baselines = mme.baselines(records)
    assert baselines.keys() == {"always yes", "always no", "always refuses"}
    subtasks = len({each["category"] for each in records})
    assert baselines["always yes"]["mme.total"].value == baselines["always no"]["mme.total"].value == 50 * subtasks
