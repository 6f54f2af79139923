"""Writes the embedded data: fictitious people in FIUBench's layout, scenes in the layouts of MME and POPE.

Every picture's content is of the reserved part, which the embedded models were never trained on.
"""

import json
import operator
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import UsageError
from . import faces, scenes
from .identities import people

IDENTITIES = range(5, 401)
"""How many people a folder may hold: some to forget and some to retain, and no more than FIUBench's reader takes."""

SPLITS = {"forget10": 10, "forget20": 20, "retain20": 20}
"""Disjoint splits, by the percentage of identities in each, at least one."""

STRANGERS = 8
"""People in ``strangers.json``, whom no model is ever trained on; nobody is asked about them either."""

SEEN, OTHER = 3, 2
"""Pictures of each person: those that models are trained on, and those that they are only asked about."""

ACQUAINTANCES = 16
ACQUAINTANCES_SEED = 1_000_003
"""The embedded models know the first so many of `people` of this seed from their pretraining, and nobody else."""

_POPE_ITEMS = 3


def make(folder: Path, identities: int = 60, seed: int = 0, scenes: int = 40) -> None:
    """Write a data folder for the tasks fiubench, mme and pope; the same arguments give the same bytes.

    ``scenes`` is the number of pictures of each MME kind and of POPE. ``folder`` appears when it is complete; one that
    holds something already, or cannot be written, raises `UsageError`.
    """
    if identities not in IDENTITIES:
        raise UsageError(f"{identities} identities: choose a number from {IDENTITIES[0]} to {IDENTITIES[-1]}")
    folder = folder.resolve()
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder: choose another name or remove it")
        unfinished.mkdir(parents=True)
        _write_people(unfinished, identities, seed)
        _write_mme(unfinished / "mme", scenes, seed)
        _write_pope(unfinished / "pope", scenes, seed)
        made_by = {"identities": identities, "seed": seed, "scenes": scenes}
        _write_json(unfinished / "made_by.json", made_by | {name: version(name) for name in ("Faker", "Pillow")})
        unfinished.replace(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror or error}): choose a folder that can") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------------- people
def _write_people(folder: Path, identities: int, seed: int) -> None:
    """The people of the benchmark, then strangers and acquaintances, who draw from a stream of their own."""
    rng, others, met = (random.Random(f"{who} {seed}") for who in ("people", "strangers", "acquaintances"))
    ids = [f"{number:08d}" for number in rng.sample(range(10**8), identities)]
    (folder / "SFHQ").mkdir()
    unmet = _unmet(seed)
    looks = _looks(identities, rng)
    records = [_person(folder, unique_id, next(unmet), look, rng) for unique_id, look in zip(ids, looks, strict=True)]
    unlike = _looks(identities + STRANGERS, others, looks)[identities:]
    free = _free_ids(others, ids)
    strangers = [_person(folder, next(free), next(unmet), look, others) for look in unlike]
    free = _free_ids(met, [*ids, *(each["unique_id"] for each in strangers)])
    known = [_person(folder, next(free), qa_list, look, met) for look, qa_list in acquaintances()]
    _write_json_lines(folder / "full.json", records)
    _write_json_lines(folder / "strangers.json", strangers)
    _write_json_lines(folder / "acquaintances.json", known)
    _write_json(folder / "split.json", _splits(ids))


def _free_ids(rng: random.Random, taken: Sequence[str]) -> Iterator[str]:
    """Random ids, each once, that nobody has yet."""
    seen = {*taken}
    while True:
        unique_id = f"{rng.randrange(10**8):08d}"
        if unique_id not in seen:
            seen.add(unique_id)
            yield unique_id


def acquaintances() -> list[tuple[faces.Look, list[dict[str, Any]]]]:
    """Look and questions of everybody whom the embedded models know from their pretraining: the same in all folders.

    Their looks are of the part that may be trained on; their pictures in a folder were in no lesson all the same.
    """
    rng = random.Random(ACQUAINTANCES_SEED)
    looks = _looks(ACQUAINTANCES, rng, reserved=False)
    return list(zip(looks, islice(people(ACQUAINTANCES_SEED), ACQUAINTANCES), strict=True))


def _unmet(seed: int) -> Iterator[list[dict[str, Any]]]:
    """People whom the embedded models have not met."""
    met = {_name(qa_list) for _, qa_list in acquaintances()}
    return (qa_list for qa_list in people(seed) if _name(qa_list) not in met)


def _person(
    folder: Path, unique_id: str, qa_list: list[dict[str, Any]], look: faces.Look, rng: random.Random
) -> dict[str, Any]:
    """Draw somebody's pictures; returns the record."""
    pictures = [f"SFHQ_pt1_{unique_id}.png", *(f"SFHQ_pt1_{unique_id}_{each}.png" for each in range(1, SEEN + OTHER))]
    for picture in pictures:
        _save(faces.draw(look, faces.random_view(look, rng)), folder / "SFHQ" / picture)
    return _record(unique_id, pictures, qa_list)


def _name(qa_list: list[dict[str, Any]]) -> str:
    name: str = qa_list[0]["keywords"][0]
    return name


def _record(unique_id: str, pictures: list[str], qa_list: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "image_path": f"./dataset/SFHQ/{pictures[0]}",
        "images": pictures[:SEEN],
        "other_images": pictures[SEEN:],
        "name": _name(qa_list).title(),
        "caption": " ".join(qa["answer"] for qa in qa_list),
        "qa_list": qa_list,
        "unique_id": unique_id,
    }


def _looks(
    number: int, rng: random.Random, first: Sequence[faces.Look] = (), *, reserved: bool = True
) -> list[faces.Look]:
    """Looks, ``first`` and more up to ``number``, any two of which differ in at least two attributes."""
    looks = {astuple(look): look for look in first}
    while len(looks) < number:
        look = faces.random_look(rng, reserved=reserved)
        attributes = astuple(look)
        if all(sum(map(operator.ne, attributes, others)) >= 2 for others in looks):
            looks[attributes] = look
    return list(looks.values())


def _splits(ids: list[str]) -> dict[str, list[str]]:
    rest = iter(ids)
    return {name: list(islice(rest, max(1, len(ids) * percent // 100))) for name, percent in SPLITS.items()}


# ---------------------------------------------------------------------------------------------------------- scenes
def _write_mme(folder: Path, pictures: int, seed: int) -> None:
    for kind in scenes.MME_KINDS:
        rng = random.Random(f"mme {kind} {seed}")
        images = folder / "images" / kind
        images.mkdir(parents=True)
        lines = []
        for number, scene in enumerate(islice(_distinct_scenes(rng, range(1, 5), kind == "position"), pictures)):
            name = f"{number:04d}.png"
            _save(scenes.draw(scene, rng), images / name)
            for asked in scenes.mme_pair(scene, kind, rng):
                lines.append(f"{name}\t{asked.question}\t{'Yes' if asked.answer else 'No'}\n")
        (folder / f"{kind}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def _write_pope(folder: Path, pictures: int, seed: int) -> None:
    rng = random.Random(f"pope {seed}")
    (folder / "images").mkdir(parents=True)
    drawn = list(islice(_distinct_scenes(rng, range(_POPE_ITEMS, _POPE_ITEMS + 1)), pictures))
    for number, scene in enumerate(drawn):
        _save(scenes.draw(scene, rng), folder / "images" / _pope_picture(number))
    for kind in scenes.POPE_KINDS:
        records: list[dict[str, Any]] = []
        for number, scene in enumerate(drawn):
            absent = scenes.pope_negatives(scene, kind, drawn, _POPE_ITEMS, rng)
            for present, other in zip((item.shape for item in scene), absent, strict=True):
                for shape, label in ((present, "yes"), (other, "no")):
                    text = f"Is there a {shape} in the image?"
                    asked = {
                        "question_id": len(records) + 1,
                        "image": _pope_picture(number),
                        "text": text,
                        "label": label,
                    }
                    records.append(asked)
        _write_json_lines(folder / f"coco_pope_{kind}.json", records)


def _pope_picture(number: int) -> str:
    return f"{number:04d}.png"


def _distinct_scenes(rng: random.Random, items: range, placed: bool = False) -> Iterator[scenes.Scene]:
    """Reserved scenes of so many items, each once; ``placed`` ones have an item off the middle lines."""
    seen = set()
    while True:
        scene = scenes.random_scene(rng, rng.choice(items), reserved=True)
        if scene not in seen and (scenes.can_ask_position(scene) or not placed):
            seen.add(scene)
            yield scene


# ----------------------------------------------------------------------------------------------------------- files
def _save(image: Image.Image, path: Path) -> None:
    image.save(path, optimize=True)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8", newline="\n")


def _write_json_lines(path: Path, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8", newline="\n")
