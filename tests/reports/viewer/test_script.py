import base64
import hashlib
import re
from pathlib import Path

import bids_spectsynth.reports.viewer
from bids_spectsynth.reports.html import Page, Section, Text
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.script import FILES, script, style

FOLDER = Path(bids_spectsynth.reports.viewer.__file__).parent / "script"


def test_script__policy_of_a_page_names_the_text_that_stands_in_it(small):
    html = small.page()
    named = re.search(r"script-src '(sha256-[^']*)'", html)
    text = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert named is not None
    assert text is not None
    assert named[1] == "sha256-" + base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
    assert text[1] == script()
    assert html.count("Content-Security-Policy") == 1
    assert "'unsafe-eval'" not in html
    assert "script-src 'unsafe-inline'" not in html


def test_script__a_page_without_a_viewer_has_none():
    html = render(Page("t", "s", [Section("a", "A", [Text("b")])]))
    assert "<script" not in html
    assert "script-src" not in html
    assert ".viewer" not in html


def test_script__files_are_all_there_is_and_short():
    assert sorted(path.stem for path in FOLDER.glob("*.js")) == sorted(FILES)
    for path in FOLDER.iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 350, path.name
        assert path.suffix == ".css" or max(map(len, lines)) <= 120, path.name


def test_script__loads_nothing_and_cannot_end_its_element():
    assert "</" not in script()
    assert "<!--" not in script()
    for word in ("http", "fetch(", "XMLHttpRequest", "eval(", "innerHTML", "new Function", "import("):
        assert word not in script(), word
    assert "url(" not in style()
    assert "</" not in style()
