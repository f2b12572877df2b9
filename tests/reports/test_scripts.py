"""The scripts of the pages in a real browser: tables that sort and filter, ratings that are saved."""

import base64
import hashlib
import json

import pytest
from chromium import Browser, browser, needs_chromium

from bids_spectsynth.evaluation.group.page_ratings import read_page_ratings
from bids_spectsynth.reports import scripts
from bids_spectsynth.reports.html import Cell, Column, Page, Section, Table, Text
from bids_spectsynth.reports.rating import rating_section
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.scripts import policy, script

NUMBERS = ["0.103\n± 0.01", "−2.5", "n/a", "3e-09", "∞", "10", "–", "−∞", "9", "< 1e-300"]
NAMES = ["sub-10", "sub-9", "Sub-1", "n/a", "sub-2", "sub-2", "sub-2", "äpfel", "Zebra", "apple <b>"]


def test_script__its_source_is_the_hash_of_its_text():
    one = script("tables.js")
    assert one.source == f"'sha256-{base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode()}'"


def test_script__that_would_end_its_element_is_refused(tmp_path, monkeypatch):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/evil.js").write_text("const text = '</SCRIPT>';")
    monkeypatch.setattr(scripts.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"evil\.js: would end"):
        script("evil.js")


def test_policy__names_what_may_run_and_nothing_of_the_network():
    assert policy([], files=False) == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    one = script("rating.js")
    assert policy([one], files=True).endswith(f"script-src {one.source}")
    assert "unsafe" not in policy([one], files=True).partition("script-src")[2]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as window:
        yield window


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A table of ten rows, one of two, one that is wide, a rating."""
    rows = [[Cell(name), Cell(value), Cell(str(n))] for n, (name, value) in enumerate(zip(NAMES, NUMBERS, strict=True))]
    columns = [Column("Name"), Column("Value", "what it is", numeric=True), Column("Order", numeric=True)]
    wide = Table([Column(f"column {n}") for n in range(40)], [[Cell("word")] * 40], "A wide one.")
    blocks = [Table(columns, rows, "Ten rows."), Table(columns, rows[:2], "Two rows."), wide]
    shown = [Section("tables", "Tables", blocks), Section("other", "Other", [Text("<script>alert(1)</script>")])]
    rated = [Section("brain-mask", "Brain mask", []), Section("registration", "Registration <b>", [])]
    path = tmp_path_factory.mktemp("page") / "sub-01.html"
    path.write_text(render(Page("t", "s", [*shown, rating_section("01", rated, "1.2.3", "2")])), encoding="utf-8")
    return path


def column(window: Browser, place: int) -> list[str]:
    return window.run(
        "return [...document.querySelector('table').tBodies[0].rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[0]].textContent)", place
    )  # fmt: skip


def press(window: Browser, place: int) -> str:
    """Press a heading with the keyboard; what it says of its order then."""
    window.run("document.querySelectorAll('table')[0].querySelectorAll('th button')[arguments[0]].focus()", place)
    head = f"table thead th:nth-child({place + 1})"
    window.keys(f"{head} button", "\ue007")
    return str(window.run("return document.querySelector(arguments[0]).getAttribute('aria-sort')", head))


@needs_chromium
def test_tables__sort_by_numbers_with_what_is_missing_last(chromium, page):
    chromium.open(page)
    assert press(chromium, 1) == "ascending"
    assert [NUMBERS.index(text) for text in column(chromium, 1)] == [7, 1, 9, 3, 0, 8, 5, 4, 2, 6]
    assert press(chromium, 1) == "descending"
    assert [NUMBERS.index(text) for text in column(chromium, 1)] == [4, 5, 8, 0, 3, 9, 1, 7, 2, 6]
    assert press(chromium, 1) == "none"
    assert column(chromium, 1) == NUMBERS


@needs_chromium
def test_tables__sort_names_by_their_numbers_and_equal_rows_keep_their_order(chromium, page):
    chromium.open(page)
    press(chromium, 0)
    names = ["äpfel", "apple <b>", "Sub-1", "sub-2", "sub-2", "sub-2", "sub-9", "sub-10", "Zebra", "n/a"]
    assert sorted(column(chromium, 0)[:2]) == sorted(names[:2])
    assert column(chromium, 0)[2:] == names[2:]
    assert column(chromium, 2)[3:6] == ["4", "5", "6"]
    press(chromium, 0)
    assert column(chromium, 0)[-1] == "n/a"
    assert [n for n in column(chromium, 2) if n in ("4", "5", "6")] == ["4", "5", "6"], "stable both ways"
    assert press(chromium, 2) == "ascending"
    heads = chromium.run("return [...document.querySelectorAll('table')[0].tHead.rows[0].cells].map((c) => c.ariaSort)")
    assert heads == ["none", "none", "ascending"]


@needs_chromium
def test_tables__are_filtered_by_words_and_say_how_many_are_left(chromium, page):
    chromium.open(page)
    assert chromium.run("return document.querySelectorAll('.filter').length") == 1, "two rows need no filter"
    chromium.keys(".filter input", "SUB 2")
    assert column(chromium, 2) == ["1", "2", "4", "5", "6"]
    assert chromium.run("return document.querySelector('.filter output').textContent") == "5 of 10 rows"
    press(chromium, 2)
    press(chromium, 2)
    assert column(chromium, 2) == ["6", "5", "4", "2", "1"], "what is filtered away stays away"


@needs_chromium
def test_tables__a_wide_one_says_so_and_the_keyboard_reaches_it(chromium, page):
    chromium.open(page)
    chromium.run("window.scrollTo(0, 0)")
    boxes = chromium.run(
        "return [...document.querySelectorAll('.scroll')].map((box) => [box.getAttribute('tabindex'),"
        " box.getAttribute('aria-label'), box.previousElementSibling.hidden])"
    )
    assert boxes == [[None, None, True], [None, None, True], ["0", "A wide one.", False]]


@needs_chromium
def test_pages__no_other_script_runs_and_the_console_is_empty(chromium, page, tmp_path):
    chromium.open(page)
    assert chromium.log() == []
    changed = tmp_path / "page.html"
    changed.write_text(page.read_text().replace("</body>", "<script>document.title = 'evil'</script></body>"))
    chromium.open(changed)
    assert chromium.run("return document.title").startswith("t ")
    assert any("Content Security Policy" in line for line in chromium.log())


@needs_chromium
def test_ratings__are_saved_as_files_that_the_group_level_reads(chromium, page, tmp_path):
    chromium.open(page)
    said = "return document.querySelector('.rating output').textContent"
    chromium.click("[data-save=json]")
    assert chromium.run(said) == "Say who is rating first."
    chromium.keys(".rating .rater", "A. B\u00e9")
    chromium.keys("[data-section=registration] textarea", "turned <i>")
    chromium.click("[data-save=json]")
    assert chromium.run(said) == "Registration <b>: a comment needs a verdict."
    chromium.click("[data-section=registration] [value=fail]")
    chromium.click("[data-section=brain-mask] [value=pass]")
    assert "Kept in this browser" in chromium.run(said)
    chromium.click("[data-save=json]")
    content = json.loads(chromium.downloaded("sub-01_ses-2_desc-AB_rating.json"))
    assert content == {
        "format_version": 1, "software": "bids_spectsynth", "version": "1.2.3", "participant_id": "sub-01",
        "session_id": "ses-2", "rater": "A. B\u00e9",
        "ratings": [{"section": "brain-mask", "verdict": "pass", "comment": ""},
                    {"section": "registration", "verdict": "fail", "comment": "turned <i>"}],
    }  # fmt: skip
    chromium.click("[data-save=tsv]")
    chromium.downloaded("sub-01_ses-2_desc-AB_rating.tsv")
    (tmp_path / "sub-01").mkdir()
    found = read_page_ratings(chromium.downloads, tmp_path)
    assert (found.left_out, found.replaced) == ([], []), "both files say the same"
    assert found.table["verdict"].tolist() == ["pass", "fail"]
    assert chromium.log() == []


@needs_chromium
def test_ratings__are_there_again_when_the_page_is_opened_again(chromium, page):
    chromium.open(page)
    chromium.run("localStorage.clear()")
    chromium.open(page)
    # Another process of the browser may still show what was cleared.
    chromium.run("document.querySelector('.rating .rater').value = ''")
    chromium.keys(".rating .rater", "C")
    chromium.click("[data-section=registration] [value=doubtful]")
    chromium.open(page)
    chosen = "return document.querySelector('[data-section=registration] :checked')?.value ?? null"
    assert chromium.run(chosen) == "doubtful"
    assert chromium.run("return document.querySelector('.rater').value") == "C"
    chromium.click("[data-clear]")
    chromium.open(page)
    assert chromium.run(chosen) is None


@needs_chromium
def test_ratings__work_where_the_browser_keeps_nothing(page, tmp_path):
    # As browsers do that refuse their storage to pages from a disk.
    with browser(tmp_path / "browser") as window:
        window.open(page)
        window.run("Storage.prototype.setItem = () => { throw new DOMException('no', 'SecurityError'); }")
        window.keys(".rating .rater", "D")
        window.click("[data-section=registration] [value=doubtful]")
        assert "this browser keeps nothing" in window.run("return document.querySelector('.rating output').textContent")
        window.click("[data-save=tsv]")
        assert window.downloaded("sub-01_ses-2_desc-D_rating.tsv").splitlines()[1].split("\t") == [
            "sub-01", "ses-2", "D", "registration", "doubtful", "n/a", "1.2.3",
        ]  # fmt: skip
