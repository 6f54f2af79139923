"""CAGUL as a method: its parameters and where its parts are. Heavy parts are imported when it runs."""

from typing import TYPE_CHECKING

from unlearnbench import Footprint, Method, method

from .params import CAGULParams

if TYPE_CHECKING:
    from unlearnbench import VLM, Counts, Run, Sets, Workload

    from .edit import Guard


@method("cagul", reference="arXiv:2510.07567", version="2")
class CAGUL(Method):
    """Attention-guided replacement of visual tokens behind a discriminator; the model's weights stay as they are."""

    start = "base"
    frozen_weights = True
    Params = CAGULParams
    params: CAGULParams

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> "Guard":
        """Train the discriminator, then discriminator and encoder together."""
        from .training import train

        return train(model, sets, self.params, run)

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Two small networks, together about a layer of the model's width.

        Only samples that they change need a pass through the model with gradients: those of the flagged pictures.
        """
        share = work.flagged / work.pictures if work.pictures else 0.0
        return Footprint(
            samples=self.params.epochs * work.pairs * share,
            batch_size=self.params.batch_size,
            micro_batch_size=self.params.micro_batch_size,
            share=share,
            modules=model.width**2,
        )

    @classmethod
    def edit_class(cls) -> "type[Guard]":
        """What `unlearn` returns."""
        from .edit import Guard

        return Guard
