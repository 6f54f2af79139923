"""Checksums of weights: every change of a bit or a place is seen, in any type and at any place in memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench.models.contract.imprint import CHUNK, checksum

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.int64, torch.bool]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("length", [1, 3, 8, 1000])
def test_equal_tensors_have_equal_checksums_wherever_they_lie(dtype: torch.dtype, length: int) -> None:
    values = torch.randint(0, 2, (length,), generator=torch.Generator().manual_seed(0)).to(dtype)
    shifted = torch.cat([values[:1], values])[1:]
    spread = torch.stack([values, values], dim=1)[:, 0]
    assert checksum(values) == checksum(shifted) == checksum(spread) == checksum(values.clone())
    assert checksum(values[:0]) == 0


@given(st.integers(0, 2**31), st.integers(0, 499), st.integers(0, 15))
def test_a_single_bit_is_seen(seed: int, place: int, bit: int) -> None:
    values = torch.randint(-(2**15), 2**15, (500,), generator=torch.Generator().manual_seed(seed)).to(torch.int16)
    changed = values.clone()
    changed[place] ^= torch.tensor(-(2**15) if bit == 15 else 1 << bit, dtype=torch.int16)
    assert checksum(values) != checksum(changed)


@pytest.mark.parametrize("apart", [1, 4, 2**12, 4 * 2**15, 4 * CHUNK])
def test_two_numbers_that_change_places_are_seen(apart: int) -> None:
    values = torch.randn(8 * CHUNK + 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    changed = values.clone()
    changed[7], changed[7 + apart] = values[7 + apart], values[7]
    assert not torch.equal(values, changed)
    assert checksum(values) != checksum(changed)


def test_hooks_that_transformers_hangs_on_to_collect_outputs_change_nothing() -> None:
    from torch import nn
    from transformers.utils.output_capturing import install_output_capuring_hook

    from unlearnbench.models.contract.imprint import _hooks

    layer = nn.Linear(2, 2)
    before = _hooks(layer)
    install_output_capuring_hook(layer, "hidden_states", 0)
    assert len(layer._forward_hooks) == 1
    assert _hooks(layer) == before
    layer.register_forward_hook(lambda *_: None)
    assert _hooks(layer) != before
