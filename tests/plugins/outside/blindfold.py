"""A method that touches no weight: pictures of those who asked to be forgotten are seen as plain grey."""

import json
from typing import ClassVar

from unlearnbench import Edit, Method, Params, method


class Hidden(Edit):
    """Replaces the visual tokens of the pictures with these file names by their mean."""

    def __init__(self, names):
        self.names = set(names)

    def __call__(self, batch, visual):
        return [
            tokens.mean(0, keepdim=True).expand_as(tokens) if image.name in self.names else tokens
            for image, tokens in zip(batch.images, visual, strict=True)
        ]

    def explain(self, batch, visual):
        sizes = [self.model.layout(picture).shape for picture in batch.pictures]
        flags = [image.name in self.names for image in batch.images]
        return [
            {"grid": [rows, columns], "flagged": flag, "chosen": [*range(rows * columns)] if flag else []}
            for (rows, columns), flag in zip(sizes, flags, strict=True)
        ]

    def apply(self, model):
        self.model = model
        model.see_through(self)

    def save(self, folder):
        (folder / "hidden.json").write_text(json.dumps(sorted(self.names)))

    @classmethod
    def load(cls, folder, model):
        return cls(json.loads((folder / "hidden.json").read_text()))


@method("blindfold")
class Blindfold(Method):
    """Knows its pictures by name, which no method for real use may."""

    frozen_weights = True

    class Params(Params):
        most: int = 100
        presets: ClassVar = {"tiny": {"most": 10}}

    def unlearn(self, model, sets, run):
        names = list(dict.fromkeys(sample.image.name for sample in sets.forget))[: self.params.most]
        run.notes["hidden"] = len(names)
        return Hidden(names)

    @classmethod
    def edit_class(cls):
        return Hidden
