"""Three tables of which none is in FIUBench's layout: ``python -m benchmarks.runs.three_tables DIR``, for the task qa.

Their text is that of FIUBench and POPE where ``../shared/data`` is, else that of the embedded data; pictures are drawn.
``people.csv`` has questions about faces, some about two pictures; ``notes.csv`` asks about the same people by name,
without a picture; ``scenes.csv`` asks yes or no about things in pictures. Who is asked how much differs from person to
person, and ``qa.toml`` says what each table calls its columns.
"""

import argparse
import csv
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from unlearnbench import locate
from unlearnbench.embedded.data import faces, scenes
from unlearnbench.tasks.fiubench.taxonomy import PRIVATE, group_of

TEXT = Path(__file__).parents[3] / "shared" / "data"
"""Where the published questions are, on machines that have them."""

MAP = """\
[columns]                       # what unlearnbench calls a column = what the tables call it
person = "who"

[[tables]]
file = "people.csv"
columns = { pictures = ["photo", "second photo"], question = "asked", answer = "truth", private = "secret" }

[[tables]]
file = "notes.csv"
columns = { question = "Frage", answer = "Antwort", private = "geheim", group = "Art" }

[[tables]]
file = "scenes.csv"
columns = { pictures = "image", question = "text", answer = "label", person = "scene" }

[splits]
first-two = [TWO]
"""

QA = tuple[str, str]
Rows = Iterable[Sequence[str]]


def main() -> None:
    """Write the folder that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--text", type=Path, default=TEXT)
    given = parser.parse_args()
    write(given.folder, given.people, given.text)
    print(f"Wrote three tables about {given.people} people to {given.folder}")


def write(folder: Path, people: int, text: Path = TEXT) -> None:
    """Write tables, pictures and map into a new folder."""
    (folder / "faces").mkdir(parents=True)
    (folder / "scenes").mkdir()
    about = dict(islice(profiles(text), people))
    pictures = {name: [*draw_faces(folder, place)] for place, name in enumerate(about)}
    seen = [("who", "photo", "second photo", "asked", "truth", "secret")]
    told = [("who", "Art", "Frage", "Antwort", "geheim")]
    for name, asked in about.items():
        for place, (question, answer) in enumerate(asked):
            group = group_of(question)
            if place % 3 < 2:
                secret = "yes" if group in PRIVATE else "no"
                seen.append((name, *shown(pictures[name], place), question, answer, secret))
            else:
                known = named(question, name), named(answer, name)
                told.append((name, str(group or "other"), *known, "x" if group in PRIVATE else ""))
    table(folder / "people.csv", ",", seen)
    table(folder / "notes.csv", ";", told)
    table(folder / "scenes.csv", ",", [("image", "scene", "text", "label"), *scene_rows(folder, text, people)])
    two = ", ".join(json.dumps(name) for name in islice(about, 2))
    (folder / "qa.toml").write_text(MAP.replace("TWO", two), encoding="utf-8")


def profiles(text: Path) -> Iterator[tuple[str, list[QA]]]:
    """Names with what is asked of each, from 6 to 16 questions."""
    published = text / "fiubench" / "qa_text.jsonl"
    of = defaultdict[str, list[QA]](list)
    if published.is_file():
        for qa in map(json.loads, published.read_text(encoding="utf-8").splitlines()):
            of[qa["name"]].append((qa["question"], qa["answer"]))
    else:
        full = locate("embedded", "qa").folder / "full.json"
        for each in map(json.loads, full.read_text(encoding="utf-8").splitlines()):
            of[each["name"]] += ((qa["question"], qa["answer"]) for qa in each["qa_list"])
    for place, (name, asked) in enumerate(of.items()):
        yield name, random.Random(place).sample(asked, 6 + place % 11)


def draw_faces(folder: Path, place: int) -> Iterator[str]:
    """Two drawn views of somebody."""
    rng = random.Random(place)
    look = faces.random_look(rng, reserved=True)
    for view in "ab":
        name = f"faces/{place:03d}{view}.png"
        faces.draw(look, faces.random_view(look, rng)).save(folder / name)
        yield name


def shown(pictures: list[str], place: int) -> tuple[str, str]:
    """The pictures of a question: every fourth is about both."""
    return (pictures[0], pictures[1]) if place % 4 == 3 else (pictures[place % 2], "")


def named(text: str, name: str) -> str:
    """A text about somebody in a picture as one about somebody known by name."""
    for words in ("the person in the image", "this person", "the person"):
        text = text.replace(words, name)
    return text if name.lower() in text.lower() else f"{name}: {text}"


def scene_rows(folder: Path, text: Path, pictures: int) -> Iterator[tuple[str, ...]]:
    """Yes/no questions about drawn scenes, three a picture."""
    published = text / "pope" / "coco_pope_random.json"
    file = published if published.is_file() else locate("embedded", "qa").folder / "pope" / "coco_pope_random.json"
    asked = defaultdict[str, list[QA]](list)
    for qa in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        asked[qa["image"]].append((qa["text"], qa["label"]))
    for place, own in enumerate(islice(asked.values(), pictures)):
        rng = random.Random(place)
        name = f"scenes/{place:03d}.png"
        scenes.draw(scenes.random_scene(rng, 3, reserved=False), rng).save(folder / name)
        yield from ((name, f"scene {place}", question, answer) for question, answer in own[:3])


def table(path: Path, separator: str, rows: Rows) -> None:
    """Write rows of text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)


if __name__ == "__main__":
    main()
