"""Our families pass the check that strangers run on theirs; and it tells what is wrong with one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.models.tiny_families import FAMILIES, save
from unlearnbench.models.families.llava import Llava
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.testing import CheckError, check_family

EMBEDDED = {"qwen2_5_vl": "tiny-qwen2.5-vl", "mllama": "tiny-mllama"}


@pytest.mark.parametrize("name", [*EMBEDDED, *FAMILIES])
def test_our_families_pass(name: str, tmp_path: Path) -> None:
    if name in EMBEDDED:
        check_family(name, folder_of(card_for(EMBEDDED[name]))[0])
    else:
        save(name, tmp_path)
        check_family(name, tmp_path)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llava"
    save("llava", folder)
    return folder


def changed(name: str, change: Callable[..., Any]) -> tuple[str, Callable[..., Any]]:
    """What a method returns, changed."""
    own = getattr(Llava, name)
    return name, lambda self, *args: change(own(self, *args))


def doubled(seen: Any) -> Any:
    return type(seen)(pooler_output=tuple(2 * tokens for tokens in seen.pooler_output))


FAULTS = {
    "likelihoods of answers of": changed(
        "_encoded", lambda seen: type(seen)(pooler_output=tuple(2 * t for t in seen[0]))
    ),
    "count_picture should say 16 visual tokens, not 32": changed(
        "count_picture", lambda counted: replace(counted, visual=2 * counted.visual)
    ),
    "training should reach the projector": changed("project", lambda tokens: tokens.detach()),
    "layout should place": changed("layout", lambda places: places + 1),
    "attention of questions": changed("_visual_part", lambda scores: [2 * each for each in scores]),
}
"""What the check says, and the fault that it says it of."""


@pytest.mark.parametrize("said", FAULTS)
def test_a_fault_is_told(said: str, llava: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Llava, *FAULTS[said])
    with pytest.raises(CheckError, match=f"^family llava: {said}"):
        check_family(Llava, llava)
