import http.server
import json
import socket
import threading

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.cli.doctor import holdings, imports, installed
from unlearnbench.engine.memory import machine
from unlearnbench.registry import methods, tasks


def report():
    return json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)


@pytest.fixture(autouse=True)
def all_is_well(monkeypatch):
    """What is imported has tests of its own: it takes as long as starting torch does; what fits, one below."""
    monkeypatch.setattr(imports, "broken", lambda modules: {})
    monkeypatch.setattr(holdings, "fits", lambda broken: {})


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_says_what_the_machine_is(offline):
    import platform
    from importlib.metadata import version

    import psutil
    import torch

    found = report()
    assert found["system"]["python"] == platform.python_version()
    assert found["system"]["memory_bytes"] == psutil.virtual_memory().total
    assert found["torch"]["version"] == torch.__version__
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    assert [device["device"] for device in found["torch"]["devices"]] == ["cpu", *gpus]
    assert found["packages"]["torch"] == version("torch")  # without torch's own suffix for its build
    assert found["hub"]["state"] == "offline"
    assert found["models"]["tiny-qwen2.5-vl"] == "installed"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'main*'; echo gpu", {"state": "answers", "partitions": "main*, gpu"}),
        ("exit 1", {"state": "installed, but does not answer (CalledProcessError)"}),
        (None, {"state": "no SLURM here"}),
    ],
)
def test_slurm_is_asked_for_its_partitions(offline, tmp_path, monkeypatch, script, said):
    if script:
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report()["slurm"] == said


def test_the_same_as_text(offline):
    done = CliRunner().invoke(app, ["doctor"])
    for fact in ("memory", "GiB", "torch", "tiny-qwen2.5-vl", "HF_HUB_OFFLINE"):
        assert fact in done.stdout


def test_a_hub_that_answers_is_reachable(monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        found = report()
        server.shutdown()
    assert found["hub"]["state"] == "reachable"


def test_a_hub_that_never_answers_does_not_hold_it_up(monkeypatch):
    monkeypatch.setattr(installed, "HUB_SECONDS", 0.3)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = report()
    assert found["hub"]["state"] == "unreachable"
    [hub] = [item for item in found["missing"] if "hub" in item["what"]]
    assert not hub["required"]
    assert "HF_HUB_OFFLINE=1" in hub["fix"]


CARD = """
from unlearnbench.models.files.card import ModelCard
LOST = ModelCard(name="lost", family="qwen2_5_vl", source="unlearnbench.embedded:nowhere")
HUB = ModelCard(name="far", family="qwen2_5_vl", source="nobody/nothing-of-this-name")
"""


def test_says_what_is_missing_and_how_to_get_it(installation):
    requirements = "Requires-Dist: torch>=9999\nRequires-Dist: no-such-thing>=3\nRequires-Dist: filelock\n"
    requirements += 'Provides-Extra: more\nRequires-Dist: no-such-extra; extra == "more"\n'
    cards = {"unlearnbench.models": {"lost": "cards:LOST", "far": "cards:HUB", "odd": "cards:Odd"}}
    broken = {
        "fails": "raise ImportError('libcudart.so.13: cannot open shared object file')",
        "crashes": "import os\nos.kill(os.getpid(), 11)",
        "leaves": "import sys\nsys.exit('no licence')",
        "Fine-One": "print('as talkative as some are')",
    }
    for name, source in broken.items():
        installation.install(name, {}, **{name.lower().replace("-", "_"): source})
        requirements += f"Requires-Dist: {name}\n"
    (installation.directory / "random.py").write_text("raise SystemExit('this is not the module random')")
    installation.install("unlearnbench", cards, metadata=requirements, cards=CARD)
    done = installation.run("doctor", "--json", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["packages"]["no-such-thing"] is None
    assert found["packages"]["filelock"]
    assert "no-such-extra" not in found["packages"]
    assert (found["models"]["lost"], found["models"]["far"]) == ("absent", "not cached")
    assert "model 'odd' from unlearnbench 1.0" in found["models"]["odd"]
    fixes = {item["what"]: (item["fix"], item["required"]) for item in found["missing"]}
    assert fixes["no-such-thing>=3 (not installed)"] == ("pip install 'no-such-thing>=3'", True)
    assert fixes["extra more: no-such-extra"] == ("pip install 'unlearnbench[more]'", False)
    assert fixes["the files of lost"][1]
    assert any(what.startswith("torch>=9999 (") for what in fixes)
    assert found["broken"].keys() == {"fails", "crashes", "leaves"}
    why = "ImportError: libcudart.so.13: cannot open shared object file"
    assert fixes[f"fails that can be imported ({why})"] == ("pip install --force-reinstall fails", True)
    assert found["broken"]["crashes"].startswith("the process was ended by SIGSEGV in <module> (")
    assert found["broken"]["leaves"] == "SystemExit: no licence"
    assert found["torch"]["version"]


def test_a_broken_torch_is_not_imported_to_find_that_out(offline, monkeypatch):
    why = "the process was ended by SIGILL"
    monkeypatch.setattr(imports, "broken", lambda modules: {"torch": why, imports.OURS[0]: why, "PIL": "OSError: no"})
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["torch"] is None
    assert found["broken"] == {"torch": why, "Pillow": "OSError: no"}  # what is built on torch is not named as well
    shown = CliRunner().invoke(app, ["doctor"]).stdout
    assert "missing: torch that can be imported (the process was ended by SIGILL)" in shown
    assert shown.count("cannot be imported") == 2


def test_says_which_data_are_here_and_what_is_free(offline, monkeypatch, tmp_path):
    """In a cache that holds the files of one dataset, and at places of which one is yet to be made."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    fiubench = tasks.get("fiubench").hub
    cache = tmp_path / "datasets--gray311--FIUBench"
    (cache / "snapshots" / commit).mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / fiubench.revision).write_text(commit)
    for name in fiubench.files:
        (cache / "snapshots" / commit / name).touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    monkeypatch.chdir(tmp_path)
    found = report()
    assert found["data"]["embedded"] == "installed"
    assert found["data"]["fiubench"] == "cached: gray311/FIUBench at 0123456789ab"
    assert found["data"]["mme"] == "not cached: unlearnbench data fetch mme"
    assert found["disk"]["store"]["folder"] == str(tmp_path / "new" / "unlearnbench")
    assert found["disk"]["results"]["folder"] == str(tmp_path / "results")
    assert found["disk"]["hub cache"]["folder"] == str(tmp_path)
    assert all(each["free_bytes"] > 0 for each in found["disk"].values())
    assert f"free in {tmp_path / 'results'}" in CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "300"}).stdout


FITS = holdings.fits


@pytest.fixture
def ours(monkeypatch):
    """Some methods that ship, and one that goes on with another's; those of other tests are not asked."""
    names = {"pretrain": None, "finetune": None, "retrain": None, "ga-gd": None, "cagul": None, "goes-on": None}
    monkeypatch.setattr(methods, "check", lambda: names)
    get = methods.get
    monkeypatch.setattr(methods, "get", lambda name: GoesOn if name == "goes-on" else get(name))


class GoesOn:
    start = "unlearned"


@pytest.mark.parametrize(("gigabytes", "said"), [(80, "yes; base 8bit ("), (24, "no: no kind of base fits")])
def test_says_what_fits_a_gpu(offline, ours, monkeypatch, gigabytes, said):
    """As `run` would choose; on a machine of which it is pretended that it has one."""
    gpu = machine.Machine(1, gigabytes * 1e9, "H100", machine.CONTEXT)
    monkeypatch.setattr(machine, "gpus_here", lambda device: 1)
    monkeypatch.setattr(machine, "gpu_machine", lambda processes, memory, device=None: gpu)
    monkeypatch.setattr(holdings, "fits", FITS)
    found = report()["fits"]
    assert found["qwen2.5-vl-7b"].startswith(said)
    assert found["llama-3.2-11b-vision"].startswith(said)


def test_without_a_gpu_large_models_take_one(offline, ours, monkeypatch):
    monkeypatch.setattr(machine, "gpus_here", lambda device: 0)
    found = FITS({})
    assert found["tiny-mllama"].startswith("yes; base full")
    assert found["qwen2.5-vl-7b"].startswith("no GPU here")
    assert FITS({"torch": "the process was ended by SIGILL"}) == {}
