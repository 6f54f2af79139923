"""Attention on GPUs: its gradients are those of exact arithmetic, under every mask that batches have."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from unlearnbench.models.files.load import load
from unlearnbench.models.files.source import card_for


@pytest.fixture
def loaded():
    """A model, and with it what loading one decides about attention."""
    torch.backends.cuda.enable_cudnn_sdp(True)
    return load(card_for("tiny-qwen2.5-vl"), "cpu")


def test_cudnn_takes_no_part(loaded):
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("length", [63, 64, 65, 128, 192])
def test_gradients_are_finite_where_logits_are_low(loaded, length):
    """With cuDNN those of a length of 64 or 192 are NaN (pytorch/pytorch#196678)."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, length, 64, dtype=torch.bfloat16, device="cuda") for _ in range(3))
    query, key = query * 0.1, key * 0.1
    query[..., 0], key[..., 0] = 1.0, -120 * 64**0.5  # logits of about -120
    mask = torch.ones(2, 1, length, length, dtype=torch.bool, device="cuda").tril()
    mask[0, ..., :20] = False  # padding on the left
    given = [each.requires_grad_() for each in (query, key, value)]
    scaled_dot_product_attention(*given, attn_mask=mask).float().sum().backward()
    exact = [each.detach().double().cpu().requires_grad_() for each in given]
    scores = (exact[0] @ exact[1].mT / 8).masked_fill(~mask.cpu(), -1e30)
    (scores.softmax(-1) * mask.cpu().any(-1, keepdim=True) @ exact[2]).sum().backward()
    for one, other in zip(given, exact, strict=True):
        assert torch.isfinite(one.grad).all()
        # the first column multiplies by 960 what halves of numbers leave of a sum that is zero
        assert torch.allclose(one.grad.double().cpu()[..., 1:], other.grad[..., 1:], atol=0.05, rtol=0.05)
