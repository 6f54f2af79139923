"""LLaVA-1.5."""

from torch import nn

from ...registry import family
from ..fusion.early import EarlyFusionVLM


@family("llava", reference="arXiv:2310.03744")
class Llava(EarlyFusionVLM):
    """``transformers.LlavaForConditionalGeneration``: LLaVA-1.5."""

    def projector(self) -> nn.Module:  # noqa: D102
        return self.model.model.multi_modal_projector  # type: ignore[no-any-return]
