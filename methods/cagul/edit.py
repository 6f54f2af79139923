"""CAGUL at work: a frozen model that looks through the gate and the encoder. Also what is stored of it.

Gate, selection and encoder work on pictures, each for itself. A query without one is answered as the base answers it.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unlearnbench import VLM, Batch, Beside, Edit, Explanation, Picture

from .modules import Discriminator, Encoder, noisy, replaced
from .params import CAGULParams
from .selection import Selector, drawing

CONFIG = "guard.json"
"""The file of an edit's parameters and seed."""


class Guard(Edit):
    """D, E and the parameters; applied, it edits the visual tokens of flagged pictures and touches no weight.

    ``seed`` is the run's, from which the ablations draw random tokens and noise, in training and in evaluation.
    """

    def __init__(self, model: VLM, params: CAGULParams, seed: int = 0) -> None:
        self.params, self.seed = params, seed
        small = Discriminator(model.width, params.discriminator_channels, params.discriminator_head)
        self.discriminator = small.to(model.device) if params.discriminator == "cnn" else None
        linear = params.encoder == "linear"
        self.encoder = Encoder(model.width, params.encoder_init).to(model.device) if linear else None
        self.selector = Selector(model, params, seed)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks that this variant has, by the name of their file."""
        named = {"discriminator": self.discriminator, "encoder": self.encoder}
        return {name: module for name, module in named.items() if module is not None}

    # ------------------------------------------------------------------------------------------------------ at work
    @torch.no_grad()
    def flags(self, pictures: list[Picture]) -> list[bool]:
        """The hard gate: whether the discriminator takes each picture for somebody to be forgotten."""
        if self.discriminator is None or not pictures:
            return [True] * len(pictures)
        distinct = {id(picture): picture for picture in pictures}
        logits = self.discriminator([picture.tokens for picture in distinct.values()])
        open_gate = dict(zip(distinct, (logits.sigmoid() >= self.params.threshold).tolist(), strict=True))
        return [open_gate[id(picture)] for picture in pictures]

    def replace(self, batch: Batch, visual: list[Tensor], flags: Sequence[bool] | None = None) -> list[Tensor]:
        """Eq. 8 on every picture of ``batch``, or those with ``flags``, as `replaced` has it; others as they were."""
        texts = [batch.queries[row].text for row in batch.row_of]
        pictures = zip(batch.images, texts, visual, self.selector.select(batch), strict=True)
        return [
            replaced(tokens, chosen, partial(self._new, image=image, text=text))
            if flags is None or flags[place]
            else tokens
            for place, (image, text, tokens, chosen) in enumerate(pictures)
        ]

    def _new(self, picked: Tensor, image: Path, text: str) -> Tensor:
        """What takes the place of a picture's selected tokens."""
        if self.encoder is not None:
            return self.encoder(picked)  # type: ignore[no-any-return]
        return noisy(picked, self.params.noise_scale, drawing("noise", image, text, self.seed))

    def __call__(self, batch: Batch, visual: list[Tensor]) -> list[Tensor]:
        """What the model sees: edited tokens where a picture's gate is open, its own elsewhere; differentiable."""
        flags = self.flags(batch.pictures)
        rows = sorted({row for row, flagged in zip(batch.row_of, flags, strict=True) if flagged})
        if not rows:
            return visual
        places = batch.places(rows)
        edited = self.replace(batch.take(rows), [visual[p] for p in places], [flags[p] for p in places])
        by_place = dict(zip(places, edited, strict=True))
        return [by_place.get(place, tokens) for place, tokens in enumerate(visual)]

    def explain(self, batch: Batch, visual: list[Tensor]) -> list[Explanation]:
        """For each picture, on its grid: the gate, the scores of eq. 7, and the tokens that are replaced.

        Scores are the mean of those by which layers choose for themselves, and a token counts as replaced if it is for
        any of them; tokens without a place in the picture are left out.
        """
        known = self.selector.scores(batch)
        scores: list[Tensor | None] = [None] * len(batch.pictures) if known is None else [*known]
        rows = zip(batch.pictures, self.flags(batch.pictures), scores, self.selector.select(batch), strict=True)
        facts: list[Explanation] = []
        for picture, flagged, score, chosen in rows:
            layout = self.selector.model.layout(picture)
            out = torch.isin(layout.flatten(), chosen.flatten().cpu()) & flagged
            shown = None if score is None else score.mean(0).cpu()[layout.flatten()].tolist()
            facts.append(
                {
                    "grid": list(layout.shape),
                    "covers": list(picture.covers),
                    "flagged": flagged,
                    "scores": None if shown is None else [float(f"{value:.6g}") for value in shown],
                    "chosen": out.nonzero()[:, 0].tolist(),
                }
            )
        return facts

    def refresh(self) -> None:
        """Keep nothing of the model as it was before its weights changed."""
        self.selector.forget()

    def apply(self, model: VLM) -> None:
        """Make ``model`` see through this guard, which is not trained any more."""
        for module in self.modules.values():
            module.requires_grad_(False)
        self.selector.model = model
        model.see_through(self)

    def beside(self, model: VLM) -> Beside:
        """The guard as classes of a model of `transformers`."""
        from .export import beside

        return beside(self, model)

    # ----------------------------------------------------------------------------------------------------- storing
    def save(self, folder: Path) -> None:
        """Two small safetensors files, and parameters and seed."""
        for name, module in self.modules.items():
            state = {key: tensor.cpu() for key, tensor in module.state_dict().items()}
            save_file(state, folder / f"{name}.safetensors")
        config = {"seed": self.seed, "params": self.params.model_dump(mode="json")}
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, model: VLM) -> Self:
        """Rebuild the modules on the model's device."""
        config = json.loads((folder / CONFIG).read_bytes())
        guard = cls(model, CAGULParams.model_validate(config["params"]), config["seed"])
        for name, module in guard.modules.items():
            module.load_state_dict(load_file(folder / f"{name}.safetensors"))
        return guard
