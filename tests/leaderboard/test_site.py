"""The pages in a real browser, opened from a folder: what a reader does with them."""

import csv
import json
import os
from pathlib import Path

import pytest

from benchmarks.large_leaderboard import write
from tests.leaderboard.browser import NEEDED, chromium, visiting  # noqa: F401 - a fixture
from tests.leaderboard.made_up import add_method
from unlearnbench.leaderboard.check import check
from unlearnbench.leaderboard.definition import find, read_board
from unlearnbench.leaderboard.rules import misfits, problems
from unlearnbench.leaderboard.site.build import build_site
from unlearnbench.leaderboard.standings import tables
from unlearnbench.leaderboard.submission import read

pytestmark = NEEDED

TINY = "private-attributes-tiny"
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder to which the pages are drawn, for somebody to look at."""


def built(boards, out, data=None):
    given = []
    for board in boards:
        submissions = [read(path) for path in board.submissions]
        assert problems(board, submissions) == []
        given.append((board, submissions, tables(board, submissions)))
    build_site(given, out, data)
    return out


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All leaderboards that ship with the package."""
    if not find(TINY).submissions:
        pytest.skip("the board has no rows yet")
    return built([find(TINY), find("fiubench-qwen2.5-vl-7b")], tmp_path_factory.mktemp("site") / "site")


def shot(page, name):
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def column(page, label):
    """The cells under a heading of the first table."""
    heads = page.locator("table.standings").first.locator("thead tr:nth-of-type(2) th").all_inner_texts()
    number = next(place for place, text in enumerate(heads, start=1) if text.split()[0] == label)
    return page.locator("table.standings").first.locator(f"tbody tr td:nth-of-type({number})").all_inner_texts()


def methods(page):
    return page.locator("table.standings").first.locator("tbody tr th a").all_inner_texts()


def entry(site, name):
    """The page of a method on the first model."""
    (path,) = (site / TINY / "entries").glob(f"{name}-tiny-qwen2.5-vl-*.html")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_every_kind_of_page_is_readable_by_everybody(site, chromium, width, scheme):  # noqa: F811
    from axe_playwright_python.sync_playwright import Axe

    pages = {
        "index": site / "index.html",
        "board": site / TINY / "index.html",
        "compare": site / TINY / "compare.html",
        "entry": entry(site, "cagul"),
        "open": site / "fiubench-qwen2.5-vl-7b" / "index.html",
    }
    with visiting(chromium, width, scheme) as visit:
        for name, path in pages.items():
            page = visit.open(path)
            shot(page, f"{name}-{width}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found = Axe().run(page, options={"preload": False}).response["violations"]
            serious = [
                f"{each['id']}: {each['nodes'][0]['html'][:200]}"
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            assert serious == [], name


def test_sorting_by_mouse_and_by_keyboard(site, chromium):  # noqa: F811
    from playwright.sync_api import expect

    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        served = methods(page)
        head = page.locator("table.standings").first.locator("thead th", has_text="EM ↓").first
        head.click()
        expect(head).to_have_attribute("aria-sort", "descending")
        values = [float(text.split()[0]) for text in column(page, "EM")]
        assert values == sorted(values, reverse=True)
        head.locator("[role=button]").focus()
        page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", "ascending")
        values = [float(text.split()[0]) for text in column(page, "EM")]
        assert values == sorted(values)
        page.keyboard.press("Enter")
        expect(head).not_to_have_attribute("aria-sort", "ascending")
        assert methods(page) == served


def test_filters(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        every = methods(page)
        assert {"finetune", "retrain", "pretrain", "cagul", "ga"} <= {*every}
        page.get_by_label("Show").first.select_option("frozen")
        assert methods(page) == ["cagul"]
        page.get_by_label("Show").first.select_option("reference")
        assert {*methods(page)} == {"finetune", "retrain", "pretrain"}
        page.get_by_label("Show").first.select_option("ranked")
        assert "–" not in column(page, "Rank")
        assert "finetune" not in methods(page)
        page.get_by_label("Show").first.select_option("")
        page.get_by_label("Find").first.fill("npo")
        assert {*methods(page)} == {"npo-gd", "simnpo-gd"}


def test_columns_are_explained_on_hover_and_on_focus(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        tip = page.locator(".tip")
        assert not tip.is_visible()
        head = page.locator("table.standings thead th", has_text="APE").first
        head.hover()
        assert "Adversarial privacy extraction" in tip.inner_text()
        page.mouse.move(5, 5)
        page.keyboard.press("Escape")
        head.locator("[role=button]").focus()
        assert "Adversarial privacy extraction" in tip.inner_text()


def test_the_plot_has_a_point_for_every_method_and_leads_to_its_page(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        canvas = page.locator(".canvas").first
        assert canvas.locator(".scatterlayer .trace").count() == len(methods(page))
        canvas.evaluate("each => each.emit('plotly_click', { points: [{ customdata: each.data[0].customdata[0] }] })")
        page.wait_for_url("**/entries/*.html")
        page.go_back()
        page.get_by_label("Across").first.select_option(label="Forget: EM")
        assert "Forget: EM" in page.locator(".canvas").first.locator(".xtitle").text_content()


def test_a_methods_page_tells_all_there_is(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        page.locator("table.standings").first.get_by_role("link", name="cagul").click()
        page.wait_for_url("**/entries/*.html")
        text = page.locator("main").inner_text()
        board = find(TINY)
        (submission,) = map(read, board.submissions)
        row = next(
            each
            for each in submission.rows
            if (each.method.name, each.task.name, each.seed) == ("cagul", "fiubench", 0)
        )
        value = row.metrics["forget.min_k"]
        assert f"{value.value:.3f} [{value.ci_low:.3f}, {value.ci_high:.3f}]" in text
        assert row.row_id[:12] in text
        assert row.model.weights_digest in text
        assert row.environment.git.sha[:10] in text
        assert "encoder_init" in text
        assert "leave the modules out" in text.replace("\n", " ")
        answers = page.locator(".answers li")
        assert answers.count() >= 8
        assert answers.first.locator("img").evaluate("each => each.naturalWidth") > 0
        assert "Before" in answers.first.inner_text()
        rows = json.loads(Path(page.url.removeprefix("file://")).with_suffix(".json").read_text())
        assert len(rows) == 9


def test_two_methods_compared(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(entry(site, "cagul"))
        page.get_by_role("link", name="Compare with another").click()
        page.wait_for_url("**/compare.html?*")
        a, b = page.get_by_label("Method A"), page.get_by_label("Method B")
        assert a.evaluate("each => each.selectedOptions[0].text").startswith("cagul")
        for other in ("ga-kl", "npo-gd"):
            b.select_option(next(text for text in b.locator("option").all_inner_texts() if text.startswith(other)))
            said = page.locator("#verdict").inner_text()
            assert "are tied" in said or "surely beats" in said or "is not ranked: " in said
            refused = page.locator("#compared tbody tr", has_text="Forget: Refused").inner_text().split("\t")
            assert refused[4] == "–"  # neither side is better
            assert page.locator("#answers li").count() >= 8


def test_the_verdict_names_who_surely_leads(board, results, sent, chromium, tmp_path):  # noqa: F811
    add_method(results, "complete", forget=0.0)
    add_method(results, "half", forget=0.5)
    assert not sent().problems
    out = built([board], tmp_path / "site")
    with visiting(chromium) as visit:
        page = visit.open(out / "made-up" / "compare.html")
        assert page.get_by_label("Method A").evaluate("each => each.selectedOptions[0].text") == "complete (1)"
        assert "complete surely beats half" in page.locator("#verdict").inner_text()


def test_dark_stays_dark(site, chromium):  # noqa: F811
    with visiting(chromium) as visit:
        page = visit.open(site / TINY / "index.html")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Use the dark theme").click()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert light != dark
        page.get_by_role("link", name="Compare two methods").click()
        page.wait_for_url("**/compare.html")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_without_javascript_the_table_is_there(site, chromium):  # noqa: F811
    with visiting(chromium, java_script_enabled=False) as visit:
        page = visit.open(site / TINY / "index.html")
        assert "cagul" in methods(page)


def test_a_methods_verdict_is_shown_and_explained(board, results, sent, chromium, tmp_path):  # noqa: F811
    add_method(results, "mute", forget=0.0, likely=1.0)
    assert not sent().problems
    out = built([board], tmp_path / "site")
    with visiting(chromium) as visit:
        page = visit.open(out / "made-up" / "index.html")
        shown = dict(zip(methods(page), column(page, "Verdict"), strict=True))
        assert shown == {"retrain": "erased", "finetune": "leaks", "mute": "hidden"}
        page.locator("table.standings").first.get_by_role("link", name="mute").click()
        page.wait_for_url("**/entries/*.html")
        assert "it does not say it, and it is still there" in page.locator("main").inner_text()


def test_the_shipped_rows_pass_their_check():
    assert check(find(TINY)) == []


def test_downloads(site):
    standings = json.loads((site / TINY / "standings.json").read_text())
    with (site / TINY / "standings.csv").open() as file:
        table = [*csv.DictReader(file)]
    scores = {(each["model"], each["method"]): float(each["mean"]) for each in table if each["metric"] == "score"}
    assert scores == {(each["model"], each["method"]): each["means"]["score"]["mean"] for each in standings["entries"]}


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def test_what_strangers_write_is_shown_and_never_run(board, results, chromium, tmp_path):  # noqa: F811
    """Even what the check would refuse: names, parameters, texts and links of rows that went past it."""

    def change(fields):
        fields["method"]["name"] = f"half{HOSTILE}"
        fields["method"]["origin"] = HOSTILE
        fields["method"]["params"] = {HOSTILE: HOSTILE, "__proto__": {"polluted": 1}, "</script>": "${alert(3)}"}
        fields["command"] = [HOSTILE, "\u2028'\"`"]
        fields["environment"]["device"] = HOSTILE

    (row, *_) = add_method(results, "half", forget=0.5, change=change)
    assert any("not a name that a plug-in can have" in what for what in misfits(board, row))
    # Past the check, as if it had a hole.
    from unlearnbench.leaderboard.add import _part
    from unlearnbench.leaderboard.submission import write
    from unlearnbench.results.row import utc_now

    header = {
        "board": board.name,
        "by": HOSTILE,
        "link": "https://example.org/?q=%22%3E",
        "unlearnbench": "0",
        "made_at": utc_now(),
    }
    parts = []
    for row in results.read():
        row, summary, data = _part(row, results)
        hostile = [
            each.model_copy(update={"question": HOSTILE, "prediction": HOSTILE, "image": "../../../../etc/passwd"})
            for each in summary.examples
        ]
        parts.append((row, summary.model_copy(update={"examples": tuple(hostile)}), data))
    board.rows.mkdir()
    write(board.rows / "hostile.jsonl", header, parts)
    submissions = [read(path) for path in board.submissions]
    out = tmp_path / "site"
    build_site([(board, submissions, tables(board, submissions))], out, tmp_path)
    assert not (out / "pictures").exists()  # no file outside of the data was taken for one
    with visiting(chromium) as visit:
        visit.page.on("dialog", lambda dialog: visit.complaints.append(dialog.message))
        page = visit.open(out / "made-up" / "index.html")
        assert f"half{HOSTILE}" in page.locator("table.standings").inner_text()
        page.get_by_role("link", name="half").click()
        page.wait_for_url("**/entries/*.html")
        assert HOSTILE in page.locator("main").inner_text()
        page.get_by_role("link", name="Compare with another").click()
        page.wait_for_url("**/compare.html?*")
        page.get_by_label("Method B").select_option(index=1)
        assert HOSTILE in page.locator("main").inner_text()
        assert page.evaluate("({}).polluted === undefined && document.scripts.length") == 4
        page.wait_for_timeout(200)


def test_of_many_methods_fifty_are_shown_at_first(chromium, tmp_path):  # noqa: F811
    """What five thousand rows cost in seconds is measured by `benchmarks.large_leaderboard`."""
    if not find(TINY).submissions:
        pytest.skip("the board has no rows yet")
    assert write(tmp_path / "large", 600) >= 600  # pages begin above 60 methods
    out = built([read_board(tmp_path / "large")], tmp_path / "site")
    with visiting(chromium) as visit:
        page = visit.open(out / "large" / "index.html")
        page.locator(".canvas .scatterlayer .trace").first.wait_for()
        assert page.locator("table.standings").first.locator("tbody tr").count() == 50
