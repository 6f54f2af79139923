"""Our families pass the check that strangers run on theirs; and it tells what is wrong with one."""

from pathlib import Path

import pytest

from tests.models.tiny_families import FAMILIES, save
from unlearnbench.models.files.source import card_for, folder_of
from unlearnbench.testing import check_family

EMBEDDED = {"qwen2_5_vl": "tiny-qwen2.5-vl", "mllama": "tiny-mllama"}


@pytest.mark.parametrize("name", [*EMBEDDED, *FAMILIES])
def test_our_families_pass(name: str, tmp_path: Path) -> None:
    if name in EMBEDDED:
        check_family(name, folder_of(card_for(EMBEDDED[name]))[0])
    else:
        save(name, tmp_path)
        check_family(name, tmp_path)
