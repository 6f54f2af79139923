"""What an embedded model is before training: a family's own classes at 1/5000 of the size, tokenizer and processor."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from tokenizers import Tokenizer as Bpe
from tokenizers import decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from .lessons import PHASES, Phase, corpus

VOCABULARY = 1_600


class Architecture(ABC):
    """One family's embedded model, and how its training rows are laid out.

    A row is ``prefix``, which holds the picture (``text_prefix`` holds none), and then question after question, each
    followed by ``tail``, which lets the model answer.
    """

    prefix: ClassVar[str]
    text_prefix: ClassVar[str]
    tail: ClassVar[str]
    phases: ClassVar[tuple[Phase, ...]] = PHASES

    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A byte-level BPE trained on the lessons, every digit a token of its own."""

    @abstractmethod
    def processor(self, tokens: PreTrainedTokenizerFast) -> Any:
        """The family's processor, for pictures of up to `faces.SIZE` pixels square."""

    @abstractmethod
    def untrained(self, tokens: PreTrainedTokenizerFast, seed: int) -> Any:
        """The model with seeded random weights."""

    @abstractmethod
    def see(self, reader: Any, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """The vision tower's inputs for one picture a row."""

    @abstractmethod
    def read(self, model: Any, ids: Tensor, offset: Tensor, prefix: int, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The language model's further inputs: above all positions, the same start for every question of a row."""


def byte_level_bpe(special: Sequence[str]) -> Bpe:
    """A tokenizer of at most `VOCABULARY` entries, ``special`` tokens first."""
    bpe = Bpe(tokenizer_models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return bpe


def places(offset: Tensor, prefix: int) -> Tensor:
    """Plain positions [B, L]: the prefix's, then every question's from the same starting point."""
    position = prefix + offset
    position[:, :prefix] = torch.arange(prefix)
    return position


def seed_weights(model: nn.Module, width: int) -> None:
    """Random weights of variance 1/fan-in: the usual 0.02 starves so small a model."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=width**-0.5)
