"""Datasets from the hub: the real client, in a process of its own, against a small server that answers as the hub."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.data_folders import picture
from tests.tasks.qa.tables import pictures, rows, write_parquet
from unlearnbench.data import hub
from unlearnbench.errors import DataError
from unlearnbench.tasks.mme.task import MMETask
from unlearnbench.tasks.pope.task import POPETask

NEW, OLD = MMETask.hub.repositories
PINNED = MMETask.hub.revision
SHARDS = ("data/test-00000-of-00002-aa.parquet", "data/test-00001-of-00002-bb.parquet")


class Hub:
    """Repositories by name, each with its files, and what was asked for."""

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        self.asked: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append(f"{self.command} {path}")
                status, headers, body = hub.answer(path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        for name, files in self.repositories.items():
            commit = {"X-Repo-Commit": PINNED}
            if path.startswith(f"/api/datasets/{name}/revision/"):
                about = {"id": name, "sha": PINNED, "siblings": [{"rfilename": each} for each in files]}
                return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()
            if path.startswith(f"/api/datasets/{name}/tree/"):
                tree = [
                    {"type": "file", "path": each, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for each, data in files.items()
                ]
                return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
            for each, data in files.items():
                if path == f"/datasets/{name}/resolve/{PINNED}/{each}":
                    return 200, commit | {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'}, data
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
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


def command(home: Path, url: str, *arguments: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_OFFLINE": str(int(offline))}
    words = [sys.executable, "-m", "unlearnbench", *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", [NEW, OLD])
def test_mme_is_fetched_under_either_name_and_then_needs_no_network(
    tmp_path: Path, files: dict[str, bytes], served: list[Hub], name: str
) -> None:
    served.append(hub := Hub({name: files}))
    first = command(tmp_path / "hf", hub.url, "data", "fetch", "mme")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{name} at revision {PINNED} is in ")
    fetched = {line.rpartition("/resolve/")[2] for line in hub.asked if line.startswith("GET") and "/resolve/" in line}
    assert fetched == {f"{PINNED}/{shard}" for shard in SHARDS}
    asked = len(hub.asked)
    # What is pinned and complete is not even asked for; offline mode changes nothing.
    for offline in (False, True):
        again = command(tmp_path / "hf", hub.url, "data", "fetch", "mme", offline=offline)
        assert (again.returncode, again.stdout) == (0, first.stdout)
    assert not [line for line in hub.asked[asked:] if "MME" in line]


def test_what_was_fetched_is_all_that_a_run_needs(tmp_path: Path, files: dict[str, bytes], served: list[Hub]) -> None:
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


def test_a_dataset_of_any_owner_is_a_table_with_pictures_in_it(tmp_path: Path, served: list[Hub]) -> None:
    pictures(tmp_path / "pictures")
    write_parquet(tmp_path / "table.parquet", rows(), tmp_path / "pictures")
    shards = {f"data/{split}-00000-of-00001.parquet": (tmp_path / "table.parquet").read_bytes() for split in ("a", "b")}
    configs = "\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in ("a", "b"))
    readme = f"---\nconfigs:\n- config_name: default\n  data_files:\n{configs}\n---\n"
    served.append(hub := Hub({"ann/people": {"README.md": readme.encode(), **shards}}))
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


def test_an_unfinished_download_is_finished(tmp_path: Path, files: dict[str, bytes], served: list[Hub]) -> None:
    served.append(hub := Hub({NEW: files}))
    assert command(tmp_path / "hf", hub.url, "data", "fetch", "mme").returncode == 0
    next((tmp_path / "hf").rglob(SHARDS[1])).unlink()
    gone = command(tmp_path / "hf", hub.url, "data", "fetch", "mme", offline=True)
    assert gone.returncode == 1
    assert "is not in the cache" in gone.stderr
    assert command(tmp_path / "hf", hub.url, "data", "fetch", "mme").returncode == 0


def test_without_the_hub_the_fix_is_one_line(tmp_path: Path, served: list[Hub]) -> None:
    served.append(hub := Hub({}))
    for url, offline in ((hub.url, False), ("http://127.0.0.1:9", False), (hub.url, True)):
        result = command(tmp_path / "hf", url, "data", "fetch", "pope", offline=offline)
        assert (result.returncode, len(result.stderr.strip().splitlines())) == (1, 1), result.stderr
        assert f"dataset {POPETask.hub.repositories[0]} is not in the cache and cannot be fetched" in result.stderr
        assert "`unlearnbench data fetch pope` on a machine with network, or give --data DIR" in result.stderr


def test_a_plan_downloads_nothing(tmp_path: Path, files: dict[str, bytes], served: list[Hub]) -> None:
    served.append(server := Hub({NEW: files}))
    words = ("plan", "--method", "cagul", "--model", "tiny-qwen2.5-vl", "--task", "mme", "--data", "mme=hub")
    planned = command(tmp_path / "hf", server.url, *words, "--store", str(tmp_path / "store"))
    assert planned.returncode == 1
    assert "nothing may be downloaded now" in planned.stderr
    assert not [line for line in server.asked if "/resolve/" in line]
    with hub.cache_only(), pytest.raises(DataError):
        hub.fetch(hub.HubDataset(("nobody/nothing",), ("*.parquet",)), "nothing")


def test_all_that_lacks_is_said_before_any_of_it_is_fetched(
    tmp_path: Path, files: dict[str, bytes], served: list[Hub]
) -> None:
    """MME is to be had, and stays where it is as long as POPE and the model are not."""
    served.append(server := Hub({NEW: files}))
    words = ("run", "--method", "pretrain", "--model", "nobody/some-model", "--task", "mme,pope", "--data", "hub")
    places = ("--results", str(tmp_path / "results"), "--store", str(tmp_path / "store"), "--data", "fiubench=embedded")
    refused = command(tmp_path / "hf", server.url, *words, *places)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert f"model nobody/some-model, data of pope ({POPETask.hub.repositories[0]})" in line
    assert "hf download nobody/some-model; unlearnbench data fetch pope" in line
    assert "data of mme" not in line
    assert not [asked for asked in server.asked if "/resolve/" in asked and asked.endswith(".parquet")]
