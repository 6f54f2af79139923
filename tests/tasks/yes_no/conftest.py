"""Folders of questions for MME and POPE."""

import json
from pathlib import Path

import pytest

from tests.data_folders import picture
from tests.tasks.yes_no.folders import MME_LINES, POPE_RECORDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("mme/images/color/a.png", "mme/images/b.png", "pope/images/a.png")):
        picture(tmp_path / name, number)
    (tmp_path / "mme" / "color.txt").write_text(MME_LINES)
    for kind in ("random", "popular", "adversarial"):
        lines = "\n".join(map(json.dumps, POPE_RECORDS))
        (tmp_path / "pope" / f"coco_pope_{kind}.json").write_text(lines)
    return tmp_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache of this test's own."""
    import huggingface_hub.utils._cache_assets as assets

    monkeypatch.setattr(assets, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
