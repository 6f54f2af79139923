import time

import pytest

HEAVY = {
    "torch",
    "transformers",
    "numpy",
    "scipy",
    "PIL",
    "faker",
    "rouge_score",
    "datasets",
    "peft",
    "huggingface_hub",
    "matplotlib",
}

LIMIT = 3.0
"""Seconds: half a second is what a free machine must reach, and this what a machine at work may take."""


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["report", "--help"], ["leaderboard", "--help"]])
def test_starts_quickly_without_heavy_imports(installation, arguments):
    traced = installation.python("-X", "importtime", "-m", "unlearnbench", *arguments)
    assert traced.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in traced.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & HEAVY
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        installation.run(*arguments)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < LIMIT


def test_importing_the_package_imports_nothing_else(installation):
    script = "import sys; import unlearnbench; print(*(m for m in sys.modules if m.startswith('unlearnbench.')))"
    assert installation.python("-c", script).stdout.split() == []


def test_listing_imports_no_plugin(installation):
    installation.install("noisy", {"unlearnbench.methods": {"noisy": "noisy:Method"}}, noisy="print('imported')")
    listed = installation.run("list", "methods")
    assert "noisy 1.0" in listed.stdout
    assert "imported" not in listed.stdout
