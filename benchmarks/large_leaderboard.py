"""How long a leaderboard of many rows takes to build and to open: ``python -m benchmarks.large_leaderboard``.

The rows that ship with the package, samples included, again and again under other methods' names (``--rows 5000``).
``json_seconds`` is what Python's ``json`` alone takes to read the same lines: how fast the machine is today;
``opened_seconds`` is from asking for the page to its plot, in Chromium where there is one. 10 s to build and 2 s to
open are what two free cores are to reach.
"""

import argparse
import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from unlearnbench.leaderboard.definition import FILE, find
from unlearnbench.leaderboard.submission import Submission, read

MODEL = "tiny-qwen2.5-vl"
_ATTACKS = re.compile(r"^\[attacks\.[^\[]*", re.MULTILINE)


def main() -> None:
    """Write the leaderboard, build its pages, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="a folder to leave the leaderboard and its site in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        rows = write(folder / "large", options.rows)
        command = [sys.executable, "-m", "unlearnbench", "leaderboard", "build", "large", "--out", "site"]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in (folder / "large" / "rows").iterdir())
        found = {"rows": rows, "megabytes": size // 10**6, "build_seconds": round(seconds, 2)}
        found["json_seconds"] = round(_json_alone(folder / "large" / "rows"), 2)
        print(json.dumps(found | _opened(folder / "site" / "large" / "index.html")))


def _json_alone(folder: Path) -> float:
    start = time.perf_counter()
    for path in folder.iterdir():
        with path.open("rb") as file:
            for line in file:
                json.loads(line)
    return time.perf_counter() - start


def _opened(page: Path) -> dict[str, float]:
    """Seconds until the page shows its plot, the best of three; nothing where there is no browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        return {}
    from playwright.sync_api import sync_playwright

    took = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(3):
            tab = browser.new_page()
            tab.goto(page.resolve().as_uri())
            tab.locator(".canvas .scatterlayer .trace").first.wait_for()
            took.append(tab.evaluate("performance.now()") / 1000)
            tab.close()
        browser.close()
    return {"opened_seconds": round(min(took), 2)}


def write(folder: Path, wanted: int) -> int:
    """A leaderboard of at least so many rows, in files of one method each; returns how many there are."""
    (folder / "rows").mkdir(parents=True)
    board = find("private-attributes-tiny")
    text = (board.folder / FILE).read_text(encoding="utf-8")
    (folder / FILE).write_text(_ATTACKS.sub("", text), encoding="utf-8")
    source = read(board.submissions[0])
    assert source.header is not None  # it ships, and is checked
    header = source.header.model_copy(update={"board": "large", "submission": 3})
    lines = [*_lines(source)]
    methods: dict[str, list[bytes]] = {}
    owner: dict[bytes, str] = {}
    for line in lines:
        if line.startswith(b'{"row"'):
            row = json.loads(line)["row"]
            owner[row["row_id"].encode()] = name = row["method"]["name"] if row["model"]["name"] == MODEL else ""
        else:
            name = owner[line.split(b'"', 4)[3]]
        methods.setdefault(name, []).append(line)
    methods.pop("", None)
    ids = [each for each, name in owner.items() if name]
    references = {"finetune", "retrain", "pretrain"}
    written = copy = 0
    while written < wanted:
        for name, its in methods.items():
            if copy and name in references:
                continue
            data = b"".join(its)
            if copy:
                data = data.replace(b'"name":"%s"' % name.encode(), b'"name":"%s-%d"' % (name.encode(), copy))
                for each in ids:
                    data = data.replace(each, b"%04x" % copy + each[4:])
            first = header.model_dump_json().encode() + b"\n"
            (folder / "rows" / f"{name}-{copy}.jsonl").write_bytes(first + data)
            written += sum(line.startswith(b'{"row"') for line in its)
        copy += 1
    return written


def _lines(source: Submission) -> Iterator[bytes]:
    """Of the rows of models as they are: rows, summaries, and samples, each in a line."""
    rows = [row for row in source.rows if row.attack is None]
    yield from (b'{"row":' + row.to_line().rstrip() + b"}\n" for row in rows)
    for row in rows:
        yield source.summaries[row.row_id].model_dump_json(exclude_none=True).encode() + b"\n"
    for row in rows:
        packed = base64.b64encode(gzip.compress(source.content_of(row), compresslevel=1))
        yield b'{"samples":"%s","gzip":"%s"}\n' % (row.row_id.encode(), packed)


if __name__ == "__main__":
    main()
