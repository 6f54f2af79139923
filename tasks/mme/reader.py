"""Reads MME (arXiv:2306.13394): its official release, one text file a subtask, or the hub's Parquet files."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from unlearnbench import DataError
from unlearnbench.data.folder import content, damaged, files_in, is_hidden, lines, mend, name_of
from unlearnbench.data.parquet import ParquetTable, parquet_files
from unlearnbench.data.pictures import SUFFIXES
from unlearnbench.metrics.yes_no import truth

from ..yes_no.reader import YesNoQuestion, YesNoSet, found, question, question_set
from .scores import SUBTASKS

_FIX = (
    "give MME's official release (a folder a subtask), its Parquet files, or mme/SUBTASK.txt with mme/images/; "
    "`unlearnbench data fetch mme` downloads it"
)
_PLACES = ("mme", "MME", "MME_Benchmark", "MME_Benchmark_release_version/MME_Benchmark", ".")


def mme_root(folder: Path) -> Path | None:
    """Where within ``folder`` MME is, in any of its layouts; None where it is not."""
    return next((folder / place for place in _PLACES if _layout(folder / place) is not None), None)


def read_mme(folder: Path) -> YesNoSet:
    """Read MME, whichever its layout. A ``question_id`` is ``SUBTASK/PICTURE``, as on the hub.

    Subtasks that are not there are not an error. MME scores pictures as well as questions: each must have a question
    with the answer yes and one with the answer no. Raises `DataError` naming the file and line.
    """
    root = mme_root(folder)
    layout = None if root is None else _layout(root)
    if root is None or layout is None:
        raise DataError(f"{folder / _PLACES[0]} holds no question file of MME: {_FIX}")
    left_out: list[Path] = []
    questions = list(layout(root, left_out))
    _check_pairs(questions)
    return question_set(questions, folder, left_out)


def _layout(root: Path) -> Callable[[Path, list[Path]], Iterator[YesNoQuestion]] | None:
    """The reader of the layout in which ``root`` holds MME; None if it does not."""
    if not root.is_dir():
        return None
    if parquet_files(root):
        return _parquet
    if any((root / f"{name}.txt").is_file() for name in SUBTASKS):
        return _flat
    return _release if any((root / name).is_dir() for name in SUBTASKS) else None


def _flat(root: Path, left_out: list[Path]) -> Iterator[YesNoQuestion]:
    """``SUBTASK.txt`` with lines ``picture<TAB>question<TAB>Yes|No``, pictures in ``images[/SUBTASK]``."""
    for path in _texts(root):
        if path.stem not in SUBTASKS and not _asks(path, 3):
            left_out.append(path)
            continue
        pictures = files_in(root / "images" / path.stem, root / "images")
        for number, line in _lines(path):
            where = f"{path}, line {number}"
            name, text, answer = _parts(where, line, ("picture", "question", "Yes|No"))
            yield _question(where, path.stem, name, pictures.find(name_of(name)), text, answer)


def _release(root: Path, left_out: list[Path]) -> Iterator[YesNoQuestion]:
    """``SUBTASK/PICTURE.txt`` with lines ``question<TAB>Yes|No``, beside the pictures or in a folder of their own."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path)):
        texts, images = folder / "questions_answers_YN", folder / "images"
        if not texts.is_dir():
            texts = images = folder
        pictures, files = files_in(images), _texts(texts)
        beside = {path: pictures.find(*(path.stem + suffix for suffix in SUFFIXES)) for path in files}
        if folder.name not in SUBTASKS:
            if any(beside.values()):
                raise DataError(f"{folder}: MME has no subtask {folder.name!r}; rename or remove the folder")
            continue
        left_out += [path for path in files if not (beside[path] or _asks(path, 2))]
        left_out += [
            path for path in pictures.values() if path.suffix.lower() in SUFFIXES and path not in beside.values()
        ]
        if not (asked := [path for path in files if path not in left_out]):
            raise DataError(f"{folder} holds no question file: {damaged(folder)}")
        for path in asked:
            image = beside[path]
            name = image.name if image else f"{path.stem}.jpg or .png"
            for number, line in _lines(path):
                where = f"{path}, line {number}"
                text, answer = _parts(where, line, ("question", "Yes|No"))
                yield _question(where, folder.name, name, image, text, answer)


def _texts(folder: Path) -> list[Path]:
    """The text files in a folder, whatever the case of their suffix."""
    return [path for path in files_in(folder).values() if path.suffix.lower() == ".txt" and path.is_file()]


def _asks(path: Path, parts: int) -> bool:
    """Whether a text may hold questions: nothing at all, or a line of so many parts that ends in yes or no."""
    try:
        told = [line.split("\t") for _, line in lines(path, content(path, _FIX))]
    except DataError:
        return False
    return not told or any(len(each) == parts and _is_answer(each[-1]) for each in told)


def _is_answer(text: str) -> bool:
    try:
        truth(text)
    except ValueError:
        return False
    return True


def _parquet(root: Path, left_out: list[Path]) -> Iterator[YesNoQuestion]:
    """The columns question_id (``SUBTASK/PICTURE``), image, question, answer and category."""
    table = ParquetTable(parquet_files(root), ("question_id", "question", "answer", "category"))
    pictures = table.pictures(lambda row: f"{name_of(str(row['category']))}/{name_of(str(row['question_id']))}")
    for where, row in table.rows():
        category, name = str(row["category"]), name_of(str(row["question_id"]))
        image = found(f"{name_of(category)}/{name}", pictures)
        yield _question(where, category, name, image, row["question"], row["answer"])


def _question(where: str, category: str, name: str, image: Path | None, text: object, answer: object) -> YesNoQuestion:
    if category not in SUBTASKS:
        raise DataError(f"{where}: MME has no subtask {category!r}; it has {', '.join(SUBTASKS)}")
    name = name_of(name)
    return question(where, category, f"{category}/{name}", image, text, answer, name=name, fix=_FIX)


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a question file, one at least: a subtask or a picture must not drop out of the scores unseen."""
    if numbered := lines(path, content(path, _FIX)):
        return numbered
    raise DataError(f"{path} holds no question: {damaged(path)}")


def _parts(where: str, line: str, names: tuple[str, ...]) -> list[str]:
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) != len(names):
        raise DataError(f"{where}: not of the form {'<TAB>'.join(names)}; {mend(where)}")
    return parts


def _check_pairs(questions: list[YesNoQuestion]) -> None:
    pairs: defaultdict[str, list[YesNoQuestion]] = defaultdict(list)
    for each in questions:
        pairs[each.question_id].append(each)
    for question_id, pair in pairs.items():
        if sorted(each.answer for each in pair) != [False, True]:
            raise DataError(
                f"{pair[-1].where}: picture {question_id!r} has {len(pair)} question{'s' * (len(pair) > 1)} instead of "
                "one answered Yes and one answered No: complete the pair or remove the picture"
            )
