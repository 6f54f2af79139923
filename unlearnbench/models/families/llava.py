"""LLaVA-1.5."""

from torch import nn

from ..contract.early_fusion import EarlyFusionVLM


class Llava(EarlyFusionVLM):
    """``transformers.LlavaForConditionalGeneration``: LLaVA-1.5."""

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]
