"""Positions whose frequencies follow how long a prompt is ("dynamic" ones), held as they are while prompts are short.

At every pass `transformers` looks whether a position lies beyond those that the model was made for, and so waits for
the GPU, which no recording can. Up to there frequencies are always the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class Frequencies:
    """Those of a language model, in which no position goes beyond so many ``columns``.

    ``steady`` tells whether they stay the same. A recording reads them where they lie, so they are kept.
    """

    def __init__(self, decoder: nn.Module, columns: int) -> None:
        looking: list[Any] = [
            module for module in decoder.modules() if "dynamic" in str(getattr(module, "rope_type", ""))
        ]
        self.steady = all(each.rope_type == "dynamic" and columns <= each.original_max_seq_len for each in looking)
        self._looking = looking if self.steady else []
        self._kept = [each.inv_freq for each in self._looking]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing look how far positions go, if they are steady; the prompts have been read, which set them."""
        for module in self._looking:
            module.rope_type = "default"
        try:
            yield
        finally:
            for module in self._looking:
                module.rope_type = "dynamic"
