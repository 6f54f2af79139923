"""Pictures that show the same person otherwise: changed as pictures are on their way, or taken anew."""

import hashlib
import io
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from unlearnbench import Asked, Asking, Attack, AttackParams, UsageError, attack, open_picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from unlearnbench import VLM, Query, Run, Sample, Sets, Target

Strength = Literal["mild", "medium", "strong"]
Kind = Literal["crop", "resize", "blur", "noise", "jpeg", "occlusion", "light", "rotation"]
Other = Literal["other photo", "collage", "grey frame"]

STRENGTHS: dict[Kind, tuple[float, float, float]] = {
    "crop": (0.90, 0.75, 0.60),
    "resize": (0.85, 0.50, 0.25),
    "blur": (1, 2, 4),
    "noise": (0.02, 0.08, 0.18),
    "jpeg": (75, 30, 10),
    "occlusion": (0.10, 0.18, 0.30),
    "light": (0.85, 0.70, 0.50),
    "rotation": (5, 15, math.inf),
}
"""What a kind is told at each strength: the side that is kept, the side to which it is made, a radius in pixels of a
picture of `SIDE`, a standard deviation of 1, a quality, an area, a factor of brightness and contrast, degrees (or,
without end, mirrored)."""

SIDE = 224
"""Pixels of the shorter side in which the radius of a blur is told: else it would depend on the file's resolution."""

FRAME = 0.2
"""Width of the grey frame, as a share of the picture's shorter side."""

VERSION = 1
"""Goes into the name of every picture that is made here: raised when a change does something else."""


class PictureParams(AttackParams):
    """Which pictures are shown."""

    kinds: tuple[Kind, ...] = Field(get_args(Kind), description="changes of the picture, each a variant")
    strengths: tuple[Strength, ...] = Field(("medium",), description="how much is changed, each a variant of each kind")
    others: tuple[Other, ...] = Field(get_args(Other), description="further pictures, each a variant")


@attack("picture", reference="arXiv:2610.10358")
class PictureAttack(Attack):
    """The questions asked on changed pictures, on other pictures of the person, beside a stranger, and in a frame.

    The variant "any" has of every person the answers on the picture that brought back most, of method and references
    alike. Pictures follow from the content of those that they are made of, so all models are shown the same.
    """

    access = "picture"
    worst = "any"
    Params = PictureParams
    params: PictureParams

    def victims(self, sets: "Sets") -> "tuple[Sample, ...]":
        """The forget set; raises `UsageError` where none of it has a picture."""
        if not any(each.images for each in sets.forget):
            raise UsageError("attack picture: no question to be forgotten has a picture: leave this attack out")
        return sets.forget

    def ask(self, model: "VLM", target: "Target", run: "Run") -> dict[str, list[dict[str, Any]]]:
        """Both sets on every picture, one kind after the other."""
        samples = {"forget": target.victims, "retain": target.utility}
        found = {}
        for name, shown in self._variants(target):
            asked = {part: [each for each in of if each.id in shown] for part, of in samples.items()}
            found[name] = target.records(model, asked, Asking(query=partial(_of, shown), likelihoods=False))
            model.let_go(path for query in shown.values() for path in query.images)
        shown_to = sum(bool(each.images) for each in target.victims)
        whole = {name: own for name, own in found.items() if _count(own) == shown_to}
        worst = _worst(target, whole) if len(whole) > 1 else []
        return found | ({"any": worst} if worst else {})

    def _variants(self, target: "Target") -> "Iterator[tuple[str, Mapping[str, Query]]]":
        """The variants' names, with what is asked of each sample by its id."""
        samples = (*target.victims, *target.utility)
        for change in changes(self.params.kinds, self.params.strengths):
            yield change.name, _with(samples, partial(changed, change, target))
        strangers = sorted({path for each in target.sets.strangers for path in each.images})
        for name in self.params.others:
            match name:
                case "other photo":
                    shown = target.other_views(samples)
                case "collage":
                    shown = _with(samples, partial(_collage, strangers, target)) if strangers else {}
                case "grey frame":
                    shown = _with(samples, partial(_framed, target))
            if any(each.id in shown for each in target.victims):
                yield name, shown


# ---------------------------------------------------------------------------------------------------------- the changes
@dataclass(frozen=True)
class PictureChange:
    """A kind of change and how strong it is, in the kind's own measure."""

    kind: Kind
    strength: Strength

    @property
    def name(self) -> str:
        """What its variant is called."""
        return f"{self.kind} {self.strength}"

    @property
    def amount(self) -> float:
        """As `STRENGTHS` has it."""
        return STRENGTHS[self.kind][get_args(Strength).index(self.strength)]


def changes(kinds: Iterable[Kind], strengths: Sequence[Strength]) -> list[PictureChange]:
    """All kinds in all strengths."""
    return [PictureChange(kind, strength) for kind in kinds for strength in strengths]


def changed(change: PictureChange, target: "Target", path: Path) -> Path:
    """The file of a picture that was changed so; what is drawn for it follows from its content."""
    recipe = [VERSION, change.kind, str(change.amount), content(path)]
    seed = "/".join(map(str, recipe))
    return target.picture(recipe, lambda: altered(open_picture(path), change, random.Random(seed)))


def altered(image: "Image", change: PictureChange, rng: random.Random) -> "Image":
    """A picture changed, at the size that it has."""
    from PIL import Image, ImageEnhance, ImageFilter, ImageOps

    (width, height), amount = image.size, change.amount
    match change.kind:
        case "crop":
            across, down = (side * (1 - amount) / 2 for side in image.size)
            return image.resize(image.size, box=(across, down, width - across, height - down))
        case "resize":
            return image.resize((max(1, round(width * amount)), max(1, round(height * amount)))).resize(image.size)
        case "blur":
            return image.filter(ImageFilter.GaussianBlur(amount * min(image.size) / SIDE))
        case "noise":
            return _noisy(image, amount, rng)
        case "jpeg":
            image.save(file := io.BytesIO(), "JPEG", quality=round(amount))
            return Image.open(file).convert("RGB")
        case "occlusion":
            side = [round(length * math.sqrt(amount)) for length in image.size]
            image.paste(_mean(image), _box(rng.randint(0, width - side[0]), rng.randint(0, height - side[1]), side))
            return image
        case "light":
            return ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(amount)).enhance(amount)
        case "rotation":
            if math.isinf(amount):
                return ImageOps.mirror(image)
            return image.rotate(amount, Image.Resampling.BILINEAR, fillcolor=_mean(image))


def _noisy(image: "Image", spread: float, rng: random.Random) -> "Image":
    """Normal noise on every value, of a standard deviation that is a share of the whole range."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(rng.getrandbits(64)).normal(0, 255 * spread, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + drawn).round().clip(0, 255).astype(np.uint8))


def _mean(image: "Image") -> tuple[int, ...]:
    """A picture's mean colour."""
    from PIL import ImageStat

    return tuple(round(value) for value in ImageStat.Stat(image).mean)


def _box(left: int, top: int, side: Sequence[int]) -> tuple[int, int, int, int]:
    return left, top, left + side[0], top + side[1]


def _collage(strangers: Sequence[Path], target: "Target", path: Path) -> Path:
    """The person at the left, and at the right somebody of whom no model ever learned, made as high."""
    other = strangers[int(content(path)[:8], 16) % len(strangers)]

    def make() -> "Image":
        from PIL import Image

        image, beside = open_picture(path), open_picture(other)
        beside = beside.resize((max(1, round(beside.width * image.height / beside.height)), image.height))
        both = Image.new("RGB", (image.width + beside.width, image.height))
        both.paste(image)
        both.paste(beside, (image.width, 0))
        return both

    return target.picture([VERSION, "collage", content(path), content(other)], make)


def _framed(target: "Target", path: Path) -> Path:
    """The picture in a grey frame."""

    def make() -> "Image":
        from PIL import ImageOps

        image = open_picture(path)
        return ImageOps.expand(image, round(FRAME * min(image.size)), (128, 128, 128))

    return target.picture([VERSION, "frame", FRAME, content(path)], make)


@lru_cache(maxsize=1 << 14)
def content(path: Path) -> str:
    """The SHA-256 of a picture's file, which stays as it is during a run, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------------------------- asking
def _with(samples: "Iterable[Sample]", make: Callable[[Path], Path]) -> "dict[str, Query]":
    """What is asked of each sample that has a picture, by its id."""
    made = lru_cache(maxsize=None)(make)
    return {each.id: Asked(each.text, tuple(map(made, each.images))) for each in samples if each.images}


def _of(shown: "Mapping[str, Query]", sample: "Sample") -> "Query":
    return shown[sample.id]


def _count(records: Iterable[Mapping[str, Any]]) -> int:
    return sum(record["set"] == "forget" for record in records)


def _worst(target: "Target", found: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of every person the forget set's records of the variant in which most is known, by the score's first level.

    ``of`` says which it is.
    """
    level = next(iter(target.task.scored.levels.values()), ())
    known: dict[str, dict[str, float]] = {}
    for name, records in found.items():
        own = target.task.by_question([each for each in records if each["set"] == "forget"])
        for metric in set(level) & set(own):
            for person, values in own[metric].items():
                sums = known.setdefault(person, dict.fromkeys(found, 0.0))
                sums[name] += sum(values) / len(values)
    chosen = {person: max(sums, key=lambda name: sums[name]) for person, sums in known.items()}
    people = {each.id: each.cluster for each in target.victims}
    return [
        {**record, "of": name}
        for name, records in found.items()
        for record in records
        if record["set"] == "forget" and chosen.get(people[record["id"]]) == name
    ]
