"""An answer that cannot be computed is no answer: logits that are not finite are an error that names the question."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from ...contracts.sample import Query
from ...errors import ModelError

SHOWN = 80
"""Characters of a question that an error shows."""


class Watch(LogitsProcessor):  # type: ignore[misc]
    """Looks at the logits of every step of generation and leaves them as they are.

    A row's largest logit is finite just where an answer can be: some may be minus infinity, as where tokens are
    suppressed. What it saw stays on the device until `check`, so no step waits for it.
    """

    def __init__(self) -> None:
        self._broken: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: D102
        broken = ~torch.isfinite(scores.amax(-1))
        self._broken = broken if self._broken is None else self._broken | broken
        return scores

    def check(self, queries: Sequence[Query]) -> None:
        """Raise `ModelError` for the first of the ``queries``, one a row, that has no answer."""
        if self._broken is not None and bool(self._broken.any()):
            raise not_finite(queries[int(self._broken.int().argmax())])


def not_finite(query: Query) -> ModelError:
    """What to say of a question whose answer, or its likelihood, is no number."""
    text = query.text if len(query.text) <= SHOWN else f"{query.text[:SHOWN]}…"
    about = f" about {', '.join(image.name for image in query.images)}" if query.images else ""
    return ModelError(
        f"the model's logits are not finite on {text!r}{about}, so there is no answer: training "
        "diverged (lower the learning rate), or the weights are damaged"
    )
