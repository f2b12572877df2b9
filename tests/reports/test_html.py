import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.reports.html import (
    Cell,
    Code,
    Column,
    Heading,
    Items,
    Note,
    Page,
    Picture,
    Rating,
    Section,
    Table,
    Text,
    number,
    p_value,
    svg_uri,
)
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.scripts import script

EVIL = "<script>alert('x')</script>\"onload=\"y&"
SVG = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="2"><path d="M 0 0&#10;L 1 1"/></svg>'


@pytest.mark.parametrize(
    "block",
    [
        Text(EVIL),
        Heading(EVIL),
        Note(EVIL, "danger", EVIL),
        Items([(EVIL, ""), (EVIL, EVIL)]),
        Table([Column(EVIL, EVIL)], [[Cell(EVIL, href=EVIL)]], EVIL, [(EVIL, EVIL)]),
        Picture(SVG, EVIL, EVIL, EVIL),
        Code(EVIL, EVIL),
        Rating(EVIL, EVIL, [("a", EVIL)], EVIL),
    ],
    ids=lambda block: block.kind,
)
def test_every_text_of_a_block_is_escaped(block, parse):
    html = render(Page(EVIL, EVIL, [Section("s", EVIL, [block])], [Note(EVIL, "warning", EVIL)], EVIL))
    assert "<script>alert" not in html
    assert 'onload="' not in html
    parsed = parse(html)
    assert "<script>alert('x')</script>" in parsed.text


def test_render__each_script_once_and_only_where_a_block_needs_it(parse):
    table = Table([Column("a")], [[Cell("x")]])
    plain = render(Page("t", "s", [Section("a", "A", [Text("no script")])]))
    assert parse(plain).scripts == []
    assert "script-src" not in plain
    both = render(Page("t", "s", [Section("a", "A", [table, table, Rating("sub-01", "", [("a", "A")], "1")])]))
    scripts = [script("tables.js"), script("rating.js")]
    assert parse(both).scripts == [one.text for one in scripts]
    assert f"script-src {scripts[0].source} {scripts[1].source}" in both


@pytest.mark.parametrize(("rows", "sortable", "sorts"), [(3, None, False), (4, None, True), (9, False, False),
                                                         (2, True, True)])  # fmt: skip
def test_table__sorts_from_four_rows_on_or_as_it_is_told(rows, sortable, sorts):
    table = Table([Column("a")], [[Cell("x")]] * rows, sortable=sortable)
    assert ('class="scroll" data-sort' in render(Page("t", "s", [Section("a", "A", [table])]))) is sorts


def test_cell__a_picture_beside_the_page_is_lazy_and_may_be_loaded():
    table = Table([Column("a")], [[Cell("what it shows", href="sub-01.html", image="figures/participants/sub-01.png")]])
    html = render(Page("t", "s", [Section("a", "A", [table])]))
    assert ('<a href="sub-01.html"><img class="thumbnail" src="figures/participants/sub-01.png" alt="what it shows" '
            'loading="lazy"></a>') in html  # fmt: skip
    assert "img-src data: 'self' file:;" in html


@pytest.mark.parametrize(("text", "short"), [("x" * 20, True), ("x" * 21, False), ("x" * 20 + "\n" + "y" * 20, True)])
def test_cell__lines_that_stay_whole(text, short):
    assert Cell(text).short is short


def test_page_forbids_the_browser_to_load_anything(parse):
    html = render(Page("t", "s", [Section("a", "A", [Picture(SVG, "alt")])]))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'")
    assert "http" not in policy.group(1)
    assert "script" not in policy.group(1)
    assert "file:" not in policy.group(1)
    assert len(parse(html).sources) == 1


def test_numbers_are_flush_right_and_a_tooltip_is_on_its_column(parse):
    table = Table([Column("name"), Column("value", "what it is", numeric=True)], [[Cell("a"), Cell("1.0", "best")]])
    html = render(Page("t", "s", [Section("a", "A", [table])]))
    assert re.search(r'<td class="number [^"]*best">1.0</td>', html)
    assert parse(html).titles == ["what it is"]


def test_a_table_without_rows_is_left_out():
    html = render(Page("t", "s", [Section("a", "A", [Table([Column("lonely heading")], [])])]))
    assert "lonely heading" not in html


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60))
def test_svg_uri_carries_any_text_and_cannot_end_its_attribute(text):
    uri = svg_uri(text)
    assert not set(uri) & set("<>\"'#&\n\r\t")
    assert uri.isascii()
    carried = unquote(uri.removeprefix("data:image/svg+xml,"))
    assert carried == text.encode("ascii", "xmlcharrefreplace").decode()


def test_an_unknown_tone_is_refused():
    with pytest.raises(ValueError, match="tone"):
        Cell("x", "loud")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12345, 3, "0.123"),
        (-0.5, 1, "−0.5"),
        (-0.0001, 2, "0.00"),
        (float("nan"), 2, "n/a"),
        (float("inf"), 2, "∞"),
        (float("-inf"), 2, "−∞"),
    ],
)
def test_number(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0412, "0.041"), (0.001, "0.001"), (3.2e-9, "3e-09"), (0.0, "< 1e-300"), (float("nan"), "n/a")],
)
def test_p_value(value, text):
    assert p_value(value) == text
