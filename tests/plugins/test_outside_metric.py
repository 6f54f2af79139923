"""A metric from a single file: registered as ours are, asked for by name, computed on every set, and shown."""

import json
from pathlib import Path

from tests.processes import run as unlearnbench

METRIC = '''
"""How much a model talks: words of its answer beside those of the true one."""

from unlearnbench import Metric, metric


@metric("talkativeness")
class Talkativeness(Metric):
    def evaluate(self, record, scorer):
        said, wanted = (len(record[key].split()) for key in ("prediction", "answer"))
        return [said / (said + wanted)]
'''


def test_a_metric_from_outside_is_computed_and_shown(tmp_path: Path, small_data: Path) -> None:
    plugin = tmp_path / "talk.py"
    plugin.write_text(METRIC)
    assert "talkativeness" in unlearnbench("list", "metrics", "--plugin", plugin).stdout
    words = ["run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "fiubench", "--plugin", plugin]
    words += ["--set", 'fiubench.metrics=["talkativeness"]', "--quiet", "--executor", "inline", "--device", "cpu"]
    words += ["--data", small_data, "--forget", "2"]
    words += ["--results", tmp_path / "results", "--store", tmp_path / "store"]
    ran = unlearnbench(*words)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("talkativeness") == 6
    [row] = map(json.loads, (tmp_path / "results" / "rows.jsonl").read_text().splitlines())
    samples = [json.loads(line) for line in (tmp_path / "results" / row["samples"]["path"]).read_text().splitlines()]
    for name, chosen in (
        *((name, (name,)) for name in ("forget", "other_view", "nonprivate", "held_out", "acquaintances")),
        ("retain", ("nonprivate", "others")),
    ):
        shares = [
            len(each["prediction"].split()) / len(f"{each['prediction']} {each['answer']}".split())
            for each in samples
            if each["set"] in chosen
        ]
        found = row["metrics"][f"{name}.talkativeness"]
        assert abs(found["value"] - sum(shares) / len(shares)) < 1e-12
        assert found["higher_is_better"] is (name not in ("forget", "other_view"))
    assert row["task"]["protocol"]["metrics"]["talkativeness"]["version"] == "1"

    plugin.write_text(METRIC.replace("said / (said + wanted)", "0.0"))  # another metric now: the row is computed anew
    assert unlearnbench(*words).returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "results" / "rows.jsonl").read_text().splitlines()]
    assert [each["metrics"]["forget.talkativeness"]["value"] for each in rows][1:] == [0.0]
    assert rows[0]["row_id"] != rows[1]["row_id"]


def test_an_unknown_metric_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    ran = unlearnbench(
        "run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--set", 'fiubench.metrics=["rouge"]',
        "--results", tmp_path / "results", "--store", tmp_path / "store",
    )  # fmt: skip
    assert ran.returncode == 2
    assert "no metric 'rouge'; did you mean 'rouge_l'?" in ran.stderr
    assert not (tmp_path / "results" / "rows.jsonl").exists()
