"""A benchmark from outside, one folder: multiple choice, with and without pictures, no groups, two sets of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.processes import run as unlearnbench

PLUGIN = Path(__file__).parent / "choice_benchmark" / "creatures.py"
COLOURS = {"blick": "red", "dorn": "blue", "fenk": "green", "gurl": "yellow"}
FOOD = ("leaves", "fish", "stones")


def write(folder: Path) -> None:
    """Four creatures with two questions each: one about a picture, of two options, and one without, of three."""
    lines: list[dict[str, Any]] = []
    for place, (creature, colour) in enumerate(COLOURS.items()):
        Image.new("RGB", (56, 56), colour).save(folder / f"{creature}.png")
        others = [each for each in COLOURS.values() if each != colour]
        shown = {"question": "What colour is it?", "options": [others[0], colour], "right": 1}
        told = {"question": f"What does a {creature} eat?", "options": [*FOOD], "right": place % 3}
        lines.append({"id": f"{creature}/colour", "creature": creature, "picture": f"{creature}.png", **shown})
        lines.append({"id": f"{creature}/food", "creature": creature, **told})
    (folder / "creatures.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The rows by method, with their samples in place of the file's name."""
    folder = tmp_path_factory.mktemp("creatures")
    write(folder)
    words: list[object] = ["run", "--method", "finetune,ga-gd", "--model", "tiny-qwen2.5-vl", "--task", "creatures"]
    words += ["--plugin", PLUGIN, "--data", folder, "--forget", "1", "--device", "cpu", "--executor", "inline"]
    words += ["--set", "base.epochs=2", "--set", "ga-gd.epochs=1", "--set", 'creatures.metrics=["choice_by_sum"]']
    words += ["--results", folder / "results", "--store", folder / "store", "--quiet", "--json"]
    ran = unlearnbench(*words)
    assert ran.returncode == 0, ran.stderr
    found = {row["method"]["name"]: row for row in json.loads(ran.stdout)}
    for row in found.values():
        lines = (folder / "results" / row["samples"]["path"]).read_text().splitlines()
        row["samples"] = [json.loads(line) for line in lines]
    return found


def test_it_runs_from_the_base_to_an_unlearned_model(rows: dict[str, dict[str, Any]]) -> None:
    assert {name: row["status"] for name, row in rows.items()} == {"finetune": "ok", "ga-gd": "ok"}
    base, unlearned = rows["finetune"], rows["ga-gd"]
    assert base["task"]["split"] == unlearned["task"]["split"]
    assert (base["task"]["split"]["identities"], base["task"]["split"]["of"]) == (1, 4)
    first, second = ([each["option_logprobs"] for each in row["samples"]] for row in rows.values())
    assert first != second
    assert [len(each) for each in first] == [2, 3] * 4


@pytest.mark.parametrize("method", ["finetune", "ga-gd"])
def test_its_metrics_are_those_of_its_samples(rows: dict[str, dict[str, Any]], method: str) -> None:
    metrics, samples = rows[method]["metrics"], rows[method]["samples"]
    assert set(metrics) == {f"{of}.{name}" for of in ("forget", "retain") for name in ("choice", "choice_by_sum")}
    for of, creatures in (("forget", ["blick"]), ("retain", ["dorn", "fenk", "gurl"])):
        own = [each for each in samples if each["cluster"] in creatures]
        for name, score in (("choice", lambda each: sum(each) / len(each)), ("choice_by_sum", sum)):
            right = [max(range(len(s["option_logprobs"])), key=lambda i: score(s["option_logprobs"][i])) for s in own]
            share = sum(place == each["right_option"] for place, each in zip(right, own, strict=True)) / len(own)
            found = metrics[f"{of}.{name}"]
            assert (found["value"], found["n"]) == (pytest.approx(share), len(own))
            assert found["higher_is_better"] is (of == "retain")
    guessing = rows[method]["baselines"]["guessing"]
    assert guessing["forget.choice"] == pytest.approx((1 / 2 + 1 / 3) / 2)
