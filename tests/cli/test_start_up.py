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

MODULES = 500
"""More than any of these imports; what they cost in seconds is measured by `benchmarks.start_up`."""


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["report", "--help"], ["leaderboard", "--help"]])
def test_starts_with_few_imports_and_no_heavy_ones(installation, arguments):
    traced = installation.python("-X", "importtime", "-m", "unlearnbench", *arguments)
    assert traced.returncode == 0
    modules = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}
    imported = {name.partition(".")[0] for name in modules}
    assert "typer" in imported
    assert not imported & HEAVY
    assert len(modules) < MODULES


def test_importing_the_package_imports_nothing_else(installation):
    script = "import sys; import unlearnbench; print(*(m for m in sys.modules if m.startswith('unlearnbench.')))"
    assert installation.python("-c", script).stdout.split() == []


def test_listing_imports_no_plugin(installation):
    installation.install("noisy", {"unlearnbench.methods": {"noisy": "noisy:Method"}}, noisy="print('imported')")
    listed = installation.run("list", "methods")
    assert "noisy 1.0" in listed.stdout
    assert "imported" not in listed.stdout
