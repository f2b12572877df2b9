import pytest

from bids_spectsynth.evaluation.group.page_ratings import VERDICTS
from bids_spectsynth.reports.html import Page, Section
from bids_spectsynth.reports.rating import rating_section
from bids_spectsynth.reports.rendering import render

SECTIONS = [Section("brain-mask", "Brain <mask>", []), Section("siscom", "SISCOM", [])]


def test_rating_section__a_choice_for_each_section_and_verdict(parse):
    html = render(Page("t", "s", [rating_section("sub-01", SECTIONS, "1.0")]))
    parsed = parse(html)
    assert "Brain <mask>" in parsed.text
    for name in ("brain-mask", "siscom"):
        assert all(f'name="rating-{name}" value="{verdict}"' in html for verdict in VERDICTS)
    assert 'data-participant="sub-01" data-session="" data-version="1.0"' in html


def test_rating_section__without_a_script_the_form_is_hidden(parse):
    html = render(Page("t", "s", [rating_section("01", SECTIONS, "1.0", "2")]))
    assert '<div class="rating" hidden data-participant="sub-01" data-session="ses-2"' in html
    assert "needs a browser that runs its script" in parse(html).text


def test_rating_section__a_name_that_no_file_may_have_is_refused():
    with pytest.raises(ValueError, match="Brain mask: a section that is rated"):
        rating_section("01", [Section("Brain mask", "x", [])], "1.0")
