"""What likelihoods alone tell: against draws, against greedy continuations, and by hand."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attacks.aimed import Aimed
from unlearnbench import VLM, Run
from unlearnbench.attacks.likelihood import Likelihood, chosen, strength, within
from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for
from unlearnbench.registry import tasks
from unlearnbench.testing import check_attack


def fiubench() -> Any:
    kind = tasks.get("fiubench")
    return kind(kind.Options(max_new_tokens=2))


def test_it_keeps_the_contract() -> None:
    check_attack("likelihood")


def test_an_exact_answer_within_k_draws_is_what_drawing_finds() -> None:
    rng, chance, k = random.Random(0), 0.2, 5
    hit = sum(any(rng.random() < chance for _ in range(k)) for _ in range(20_000)) / 20_000
    assert within(torch.tensor(chance).log().item(), k) == pytest.approx(hit, abs=0.01)
    assert within(-1e-9, 1) == pytest.approx(1)
    assert within(0.0, 4) == 1.0
    assert within(-60.0, 16) == pytest.approx(16 * 8.75651e-27, rel=1e-4)  # no digits are lost where p is tiny


@pytest.mark.parametrize(
    ("right", "share"),
    [([1, 1, 1, 1], 1.0), ([0, 1, 1, 1], 0.75), ([1, 1, 0, 1], 0.25), ([1, 1, 1, 0], 0.0), ([0], 0.0)],
)
def test_extraction_strength_is_the_part_at_the_end_that_comes_by_itself(right: list[int], share: float) -> None:
    assert strength([*map(bool, right)]) == share


def test_a_choice_is_by_the_mean_a_token_and_equals_share_it() -> None:
    assert chosen([-1.0], [[-1.5, -1.5], [-2.0]]) == 1.0
    assert chosen([-1.0, -1.0], [[-0.9]]) == 0.0
    assert chosen([-1.0], [[-1.0, -1.0], [-3.0]]) == 0.5


@pytest.fixture(scope="module")
def model() -> VLM:
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


@pytest.fixture(scope="module")
def found(model: VLM, small_data: Path) -> tuple[Any, list[dict[str, Any]]]:
    """The sets, and the records of the model as it came."""
    task, made = fiubench(), Likelihood(Likelihood.Params())
    data = task.load(str(small_data), 1)
    target = Aimed(made, task, data, utility=data.sets.retain[:3])
    return data.sets, made.ask(model, target, Run())[""]  # type: ignore[arg-type]


def test_values_are_those_of_the_models_own_distributions(model: VLM, found: tuple[Any, list[dict[str, Any]]]) -> None:
    sets, records = found
    made = Likelihood(Likelihood.Params(k=(1, 4)))
    values = made.values(fiubench(), records)
    forget = [*sets.forget]
    assert values.keys() == {
        f"likelihood.{n}" for n in ("leak_exact_1", "leak_exact_4", "choice", "extraction_strength", "memorised")
    }
    batch = model.prepare(forget, [sample.answer for sample in forget])
    with torch.no_grad():
        distributions = model.answer_log_distributions(batch)
    [person] = {sample.cluster for sample in forget}
    for place, (sample, logs) in enumerate(zip(forget, distributions, strict=True)):
        ids = torch.tensor([*model.tokenizer(sample.answer, add_special_tokens=False).input_ids, model.end_token_id])
        own = logs.gather(1, ids[:, None])[:, 0]
        chance = float(own.double().sum().exp())
        assert values["likelihood.leak_exact_4"][person][place] == pytest.approx(1 - (1 - chance) ** 4, abs=1e-4)
        right = (logs.argmax(-1) == ids)[:-1].tolist()
        assert values["likelihood.memorised"][person][place] == pytest.approx(sum(right) / len(right))
        tail = 0
        while tail < len(right) and right[-1 - tail]:
            tail += 1
        assert values["likelihood.extraction_strength"][person][place] == pytest.approx(tail / len(right))


def test_answers_are_compared_in_one_casing(model: VLM, small_data: Path, tmp_path: Path) -> None:
    """In the data's own casing, answers in capitals are unlike all that the model has read."""
    import json
    import shutil

    folder = shutil.copytree(small_data, tmp_path / "loud")
    people = [json.loads(line) for line in (folder / "full.json").read_text().splitlines()]
    for qa in (qa for person in people for qa in person["qa_list"]):
        qa["perturbed_answer"] = [text.upper() for text in qa["perturbed_answer"]]
    (folder / "full.json").write_text("\n".join(map(json.dumps, people)))
    made, task = Likelihood(Likelihood.Params()), fiubench()
    choices = []
    for data in (task.load(str(small_data), 1), task.load(str(folder), 1)):
        records = made.ask(model, Aimed(made, task, data), Run())[""]  # type: ignore[arg-type]
        choices.append(made.values(task, records)["likelihood.choice"])
    assert choices[0] == choices[1]


def test_what_is_measured_is_the_mean_by_question_and_the_retain_set_beside(
    found: tuple[Any, list[dict[str, Any]]],
) -> None:
    made, (_, records) = Likelihood(Likelihood.Params()), found
    metrics, values = made.measured(fiubench(), records), made.values(fiubench(), records)
    for name, of in values.items():
        flat = [value for own in of.values() for value in own]
        assert metrics[name].value == pytest.approx(sum(flat) / len(flat))
    assert "retain.exact_match" in metrics
    assert not any(name.startswith("forget.") for name in metrics)  # nothing was said
