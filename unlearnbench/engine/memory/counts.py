"""What a model comes to in parameters and widths: counted on the meta device, asking its family as a run would."""

from typing import TYPE_CHECKING, cast

from ...contracts.footprint import Counts
from ...models.files.card import ModelCard
from ...models.files.outline import image_settings, outline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

FACE = 1024
"""Pixels of a picture's side: FIUBench's, assumed of others."""


def counts(card: ModelCard) -> Counts:
    """Count a model; raises `ModelError` for one that nobody can run, or whose configuration is nowhere."""
    model = outline(card)
    text, decoder = model.model.config.get_text_config(), model.language_model()
    layers = [*cast("nn.ModuleList", decoder.layers)]
    in_layers = [_numbers(layer.parameters()) for layer in layers]
    language = _numbers(model.language_parameters().values())
    projector = _numbers(model.projector_parameters().values())
    picture = model.count_picture(FACE, image_settings(card), (card.min_pixels, card.max_pixels))
    linears = [model.model.get_submodule(name) for name in model.language_linears()]
    return Counts(
        tower=_numbers(model.model.parameters()) - projector - language,
        projector=projector,
        layers=sum(in_layers),
        embeddings=language - sum(in_layers),
        depth=len(layers),
        cross=len(model.attention_layers) if model.layered else 0,
        width=model.width,
        inner=text.intermediate_size,
        keys=model.width // text.num_attention_heads * text.num_key_value_heads,
        vocabulary=text.vocab_size,
        visual=picture.visual,
        patches=picture.patches,
        features=picture.features,
        streams=picture.streams,
        largest_layer=max(in_layers),
        linears=tuple((linear.in_features, linear.out_features) for linear in linears),
    )


def _numbers(parameters: "Iterable[nn.Parameter]") -> int:
    return sum(parameter.numel() for parameter in parameters)
