"""A participant's page says what is doubtful about the prepared images."""

import json
from pathlib import Path

import pytest

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.quality.judge import QC, Flag
from bids_spectsynth.reports.subject.page import subject_report

FLAG = Flag("spect-foreign", 0.031, 0.2, "is it another participant's?")


def write(tree: Path, *flags: Flag) -> None:
    (tree / "sub-01" / "sub-01_qc.json").write_text(json.dumps({QC: [flag.as_json() for flag in flags]}))
    update_participants(tree, {"01": {"quality_flags": ", ".join(flag.name for flag in flags)}})


@pytest.mark.usefixtures("quick")
def test_quality_section__flag_with_value_limit_and_sentence(tree, parse):
    write(tree, FLAG)
    text = parse(subject_report(tree, "01").read_text()).text
    section = text[text.rindex("Quality of the images") :]
    assert all(words in section for words in ("spect-foreign", "0.031", "0.200", FLAG.sentence))
    assert "spect-foreign. See the quality of the images." in text


@pytest.mark.usefixtures("quick")
def test_quality_section__nothing_doubtful(tree, parse):
    write(tree)
    text = parse(subject_report(tree, "01").read_text()).text
    assert "Nothing is doubtful about sub-01" in text
    assert "See the quality of the images" not in text


@pytest.mark.usefixtures("quick")
def test_quality_section__nobody_was_judged(tree, parse):
    assert "Quality of the images" not in parse(subject_report(tree, "01").read_text()).text
