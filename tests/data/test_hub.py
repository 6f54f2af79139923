"""Datasets from the hub: the real client, in a process of its own, against a small server that answers as the hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data.served_hub import PINNED, Files, Hub, command
from tests.data_folders import picture
from tests.tasks.qa.tables import pictures, rows, write_parquet
from unlearnbench.data import hub
from unlearnbench.errors import DataError
from unlearnbench.tasks.mme.task import MMETask
from unlearnbench.tasks.pope.task import POPETask

NEW, OLD = MMETask.hub.repositories
SHARDS = ("data/test-00000-of-00002-aa.parquet", "data/test-00001-of-00002-bb.parquet")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Two shards of MME, with a picture each, and a file that nobody needs."""
    found = {"README.md": b"# MME"}
    for number, shard in enumerate(SHARDS):
        picture(tmp_path / "picture.png", number)
        image = {"bytes": (tmp_path / "picture.png").read_bytes(), "path": None}
        rows = [
            {"question_id": f"color/{number}.png", "image": image, "question": f"Is it {answer}?", "answer": answer}
            for answer in ("Yes", "No")
        ]
        parquet.write_table(pa.Table.from_pylist([row | {"category": "color"} for row in rows]), tmp_path / "shard")
        found[shard] = (tmp_path / "shard").read_bytes()
    return found


@pytest.fixture
def served() -> Iterator[list[Hub]]:
    hubs: list[Hub] = []
    yield hubs
    for each in hubs:
        each.server.shutdown()
        each.server.server_close()


@pytest.mark.parametrize("name", [NEW, OLD])
def test_mme_is_fetched_under_either_name_and_then_needs_no_network(
    tmp_path: Path, files: Files, served: list[Hub], name: str
) -> None:
    served.append(hub := Hub({name: files}))
    first = command(tmp_path / "hf", hub.url, "data", "fetch", "mme")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{name} at revision {PINNED} is in ")
    assert sorted(hub.sent()) == [shard.rpartition("/")[2] for shard in SHARDS]
    asked = len(hub.asked)
    # What is pinned and complete is not even asked for; offline mode changes nothing.
    for offline in (False, True):
        again = command(tmp_path / "hf", hub.url, "data", "fetch", "mme", offline=offline)
        assert (again.returncode, again.stdout) == (0, first.stdout)
    assert not [line for line in hub.asked[asked:] if "MME" in line]


def test_what_was_fetched_is_all_that_a_run_needs(tmp_path: Path, files: Files, served: list[Hub]) -> None:
    served.append(hub := Hub({OLD: files}))
    assert command(tmp_path / "hf", hub.url, "data", "fetch", "mme").returncode == 0
    words = ("run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "mme", "--data", "mme=hub")
    places = ("--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"), "--json", "--quiet")
    places += ("--executor", "inline")
    ran = command(tmp_path / "hf", hub.url, *words, *places, offline=True)
    assert ran.returncode == 0, ran.stderr
    row = json.loads(ran.stdout)[0]
    assert row["task"]["data"] | {"fingerprint": ""} == {
        "source": "hub", "id": OLD, "revision": PINNED, "fingerprint": "",
    }  # fmt: skip
    assert row["metrics"]["mme.accuracy"]["n"] == 4


@pytest.fixture
def tables(tmp_path: Path) -> Files:
    """Two splits of a dataset that somebody has put on the hub, with pictures in them."""
    pictures(tmp_path / "pictures")
    write_parquet(tmp_path / "table.parquet", rows(), tmp_path / "pictures")
    shards = {f"data/{split}-00000-of-00001.parquet": (tmp_path / "table.parquet").read_bytes() for split in ("a", "b")}
    configs = "\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in ("a", "b"))
    readme = f"---\nconfigs:\n- config_name: default\n  data_files:\n{configs}\n---\n"
    return {"README.md": readme.encode(), "notes.txt": bytes(500_000), **shards}


def test_a_dataset_of_any_owner_is_a_table_with_pictures_in_it(
    tmp_path: Path, tables: Files, served: list[Hub]
) -> None:
    served.append(hub := Hub({"ann/people": tables}))
    fetched = command(tmp_path / "hf", hub.url, "data", "fetch", "qa", "ann/people")
    assert fetched.returncode == 0, fetched.stderr
    words = ("run", "--method", "pretrain", "--model", "tiny-qwen2.5-vl", "--task", "qa", "--data", "ann/people")
    words += ("--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"), "--json", "--quiet")
    words += ("--executor", "inline", "--set", "qa.max_new_tokens=2", "--forget", "1")
    many = command(tmp_path / "hf", hub.url, *words, offline=True)
    assert (many.returncode, many.stderr) == (
        2, "error: --data ann/people: choose a split with --set qa.split=NAME: a, b\n",
    )  # fmt: skip
    ran = command(tmp_path / "hf", hub.url, *words, "--set", "qa.split=b", offline=True)
    assert ran.returncode == 0, ran.stderr
    data = json.loads(ran.stdout)[0]["task"]["data"]
    assert data | {"fingerprint": ""} == {
        "source": "hub", "id": "ann/people", "revision": PINNED, "fingerprint": "",
    }  # fmt: skip


def test_an_unfinished_download_is_finished(tmp_path: Path, files: Files, served: list[Hub]) -> None:
    served.append(hub := Hub({NEW: files}))
    assert command(tmp_path / "hf", hub.url, "data", "fetch", "mme").returncode == 0
    next((tmp_path / "hf").rglob(SHARDS[1])).unlink()
    gone = command(tmp_path / "hf", hub.url, "data", "fetch", "mme", offline=True)
    assert gone.returncode == 1
    assert "is not in the cache" in gone.stderr
    assert command(tmp_path / "hf", hub.url, "data", "fetch", "mme").returncode == 0


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "of an older client"])
def test_half_of_any_owner_s_dataset_is_never_read_as_all_of_it(
    tmp_path: Path, tables: Files, served: list[Hub], listed: bool
) -> None:
    served.append(hub := Hub({"ann/people": tables}))
    fetch = ("data", "fetch", "qa", "ann/people")
    assert command(tmp_path / "hf", hub.url, *fetch).returncode == 0
    next((tmp_path / "hf").rglob("b-00000-of-00001.parquet")).unlink()
    if not listed:
        next((tmp_path / "hf").rglob("trees/*.json")).unlink()
    words = ("plan", "--method", "finetune", "--model", "tiny-qwen2.5-vl", "--task", "qa", "--data", "ann/people")
    for asked in (fetch, (*words, "--set", "qa.split=a", "--store", str(tmp_path / "store"))):
        gone = command(tmp_path / "hf", hub.url, *asked, offline=True)
        assert (gone.returncode, len(gone.stderr.strip().splitlines())) == (1, 1), gone.stderr
        assert "not in the cache" in gone.stderr
        assert "unlearnbench data fetch qa ann/people" in gone.stderr
    hub.asked.clear()
    places = ("--store", str(tmp_path / "store"), "--results", str(tmp_path / "results"))
    goes_on = command(tmp_path / "hf", hub.url, "run", *words[1:], *places)  # and ends, as no split is chosen
    left = len(tables["data/b-00000-of-00001.parquet"]) / 1e6
    assert f"to be fetched: data of qa (ann/people) ({left:.1f} MB)\n" in goes_on.stderr
    assert goes_on.stderr.endswith("choose a split with --set qa.split=NAME: a, b\n")
    assert command(tmp_path / "hf", hub.url, *fetch, offline=True).returncode == 0
    assert {*hub.sent()} <= {"b-00000-of-00001.parquet"}  # what was there is not fetched again


def test_without_the_hub_the_fix_is_one_line(tmp_path: Path, served: list[Hub]) -> None:
    served.append(hub := Hub({}))
    for url, offline in ((hub.url, False), ("http://127.0.0.1:9", False), (hub.url, True)):
        result = command(tmp_path / "hf", url, "data", "fetch", "pope", offline=offline)
        assert (result.returncode, len(result.stderr.strip().splitlines())) == (1, 1), result.stderr
        assert f"dataset {POPETask.hub.repositories[0]} is not in the cache and cannot be fetched" in result.stderr
        assert "`unlearnbench data fetch pope` on a machine with network, or give --data DIR" in result.stderr


def test_a_plan_downloads_nothing(tmp_path: Path, files: Files, served: list[Hub]) -> None:
    served.append(server := Hub({NEW: files}))
    words = ("plan", "--method", "cagul", "--model", "tiny-qwen2.5-vl", "--task", "mme", "--data", "mme=hub")
    planned = command(tmp_path / "hf", server.url, *words, "--store", str(tmp_path / "store"))
    assert planned.returncode == 1
    assert "nothing may be downloaded now" in planned.stderr
    assert not [line for line in server.asked if "/resolve/" in line]
    with hub.cache_only(), pytest.raises(DataError):
        hub.fetch(hub.HubDataset(("nobody/nothing",), ("*.parquet",)), "nothing")


def test_all_that_lacks_is_said_before_any_of_it_is_fetched(tmp_path: Path, files: Files, served: list[Hub]) -> None:
    """MME is to be had, and stays where it is as long as POPE and the model are not."""
    served.append(server := Hub({NEW: files}))
    words = ("run", "--method", "pretrain", "--model", "nobody/some-model", "--task", "mme,pope,qa", "--data", "hub")
    places = ("--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"), "--data", "fiubench=embedded")
    places += ("--data", "qa=bob/none")
    refused = command(tmp_path / "hf", server.url, *words, *places)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert f"model nobody/some-model, data of pope ({POPETask.hub.repositories[0]}), data of qa (bob/none)" in line
    fetches = "unlearnbench data fetch pope; unlearnbench data fetch qa bob/none"
    assert f"hf download nobody/some-model; {fetches}" in line
    assert "data of mme" not in line
    assert not [asked for asked in server.asked if "/resolve/" in asked and asked.endswith(".parquet")]
