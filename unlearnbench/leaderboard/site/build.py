"""Writing the site: pages for leaderboards, methods and comparisons, with data, libraries and pictures beside them."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import unlearnbench

from ...analysis.attacks.of_lines import AttackOn
from ...analysis.comparison import Comparison
from ...analysis.legend import coverage
from ...analysis.numbers import amount, memory
from ...analysis.tidy import tidy
from ...errors import StoreError
from ...metrics.direction import ARROWS
from ...results.row import utc_now
from ...runtime.atomic import atomic_folder, require_writable
from ..definition import Board
from ..standings import WORDS, Table
from ..submission import Submission
from ..table import abouts, comparison, plain, utility, weights
from .attacks import Drawing, shown
from .data import answers_data, board_data
from .entries import Entry, counted, entries, interval, mean, people, width
from .libraries import libraries
from .outcomes import attacks_on_table
from .pictures import Pictures

_HERE = Path(__file__).parent
_MARK = ".unlearnbench-site"
"""A file that tells a site of ours, which a new one may replace, and what belongs to it."""


@dataclass(frozen=True)
class Section:
    """One model of a leaderboard."""

    table: Table
    comparison: Comparison
    entries: list[Entry]
    attacks: Sequence[AttackOn]
    attacked: Sequence[Comparison]
    """Tables of what came back under attacks."""
    doubts: Sequence[str]
    """What checks say of the metrics that rank."""

    @property
    def remarks(self) -> list[str]:
        """What stands beneath the table: scores that rest on fewer questions than there are, and doubts."""
        return [*coverage([self.comparison]), *self.doubts]


def build_site(
    boards: Sequence[tuple[Board, Sequence[Submission], Sequence[Table]]],
    out: Path,
    data: Path | None,
    drawing: Drawing | None = None,
) -> int:
    """Write the pages into ``out``, in place of an earlier site there, and return how many there are.

    ``drawing`` shows attacks by tables and pictures beside the numbers. The new site appears whole or not at all. What
    else lies in the folder, a ``.git`` or a ``README.md``, stays. Raises StoreError where ``out`` cannot be written or
    holds something else and no site.
    """
    out = out.resolve()
    before = _of_ours(out)
    require_writable(out.parent, "--out")
    fresh, old = (out.with_name(f".{out.name}.{word}") for word in ("fresh", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    with atomic_folder(fresh) as folder:
        pages = _Site(folder, data, drawing).write(boards)
    if out.exists():
        for path in out.iterdir():
            if path.name not in before and not (fresh / path.name).exists():
                path.rename(fresh / path.name)
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return pages


def _of_ours(out: Path) -> set[str]:
    """What an earlier site put into ``out``; raises StoreError where that holds something and is no site."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return set()
    try:
        return set(json.loads((out / _MARK).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        what = "holds something that is no site of ours: give an empty or a new folder with --out"
        raise StoreError(f"{out}: {what}") from None


def _as_script(path: Path, name: str, data: str) -> None:
    """JSON for a page opened from a folder, where nothing but scripts and pictures can be loaded.

    A string that is parsed: some names would mean something else in an object of JavaScript's own notation.
    """
    path.write_text(f"window.{name} = JSON.parse({json.dumps(data)});\n", encoding="utf-8")


class _Site:
    """The files of a site in the making."""

    def __init__(self, folder: Path, data: Path | None, drawing: Drawing | None) -> None:
        self.folder, self.drawing = folder, drawing
        self.pictures = Pictures(folder / "pictures", data)
        self.pages = 0

    @cached_property
    def templates(self) -> Environment:
        """Everything that they are given is escaped."""
        loaded = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        loaded.filters |= {
            "interval": interval, "mean": mean, "amount": amount, "memory": memory, "utility": utility,
            "weights": weights, "counted": counted, "people": people, "plain": plain,
        }  # fmt: skip
        loaded.globals |= {"version": unlearnbench.__version__, "built": utc_now(), "weights": weights, "width": width}
        loaded.globals |= {"arrows": ARROWS, "words": WORDS}
        return loaded

    def write(self, boards: Sequence[tuple[Board, Sequence[Submission], Sequence[Table]]]) -> int:
        """Everything."""
        shutil.copytree(_HERE / "assets", self.folder / "assets")
        for name, text in libraries():
            (self.folder / "assets" / name).write_text(text, encoding="utf-8")
        shown = [
            (board, submissions, [*self._sections(board, submissions, tables)]) for board, submissions, tables in boards
        ]
        for board, submissions, sections in shown:
            self._board(board, submissions, sections)
        self._page("index.html", "index.html.j2", boards=shown, root=".")
        files = sorted([_MARK, *(path.name for path in self.folder.iterdir())])
        (self.folder / _MARK).write_text(json.dumps({"unlearnbench": unlearnbench.__version__, "files": files}) + "\n")
        return self.pages

    def _sections(self, board: Board, submissions: Sequence[Submission], tables: Sequence[Table]) -> Iterator[Section]:
        summaries = {row_id: summary for each in submissions for row_id, summary in each.summaries.items()}
        for table in tables:
            compared = comparison(board, table)
            found = entries(board, table, compared, submissions, self.pictures)
            attacks = attacks_on_table(board, table, summaries)
            drawn = self.drawing.tables(attacks) if self.drawing and attacks else ()
            doubts = board.doubts(compared.lines[0].model) if compared.lines else ()
            yield Section(table, compared, found, attacks, drawn, doubts)

    def _board(self, board: Board, submissions: Sequence[Submission], sections: Sequence[Section]) -> None:
        folder = self.folder / board.name
        (folder / "entries").mkdir(parents=True)
        tables = [section.table for section in sections]
        levels = {name: of for table in tables for name, of in table.levels.items()} or board.definition.ranking.levels
        facts = {"board": board, "rule": board.definition, "sections": sections, "abouts": abouts(board, tables)}
        facts["levels"] = levels
        self._page(f"{board.name}/index.html", "board.html.j2", **facts, root="..")
        if not sections:
            return
        self._page(f"{board.name}/compare.html", "compare.html.j2", **facts, root="..")
        data = json.dumps(board_data(board, sections), allow_nan=False)
        (folder / "standings.json").write_text(data + "\n", encoding="utf-8")
        _as_script(folder / "standings.js", "standings", data)
        _as_script(folder / "answers.js", "answers", json.dumps(answers_data(sections)))
        (folder / "standings.csv").write_text(tidy([each.comparison for each in sections]), encoding="utf-8")
        for section in sections:
            for entry in section.entries:
                self._entry(board, section, entry, submissions)

    def _entry(self, board: Board, section: Section, entry: Entry, submissions: Sequence[Submission]) -> None:
        place = f"{board.name}/entries/{entry.id}"
        facts = {"board": board, "rule": board.definition, "entry": entry, "root": "../.."}
        if section.attacks:
            of = {row_id: each for each in submissions for row_id in each.lines}
            pictures = self.folder / f"{place}-attacks"
            facts["attacks"] = shown(
                section.attacks, entry.standing, self.drawing, lambda row: of[row.row_id].samples(row), pictures
            )
        self._page(f"{place}.html", "entry.html.j2", **{"attacks": None} | facts)
        rows = b",\n".join(row.to_line().rstrip() for row in entry.rows)
        (self.folder / f"{place}.json").write_bytes(b"[" + rows + b"]\n")

    def _page(self, name: str, template: str, **facts: Any) -> None:
        self.pages += 1
        text = self.templates.get_template(template).render(facts)
        (self.folder / name).write_text(text, encoding="utf-8")
