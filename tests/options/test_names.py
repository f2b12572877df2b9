"""Names of suffixes, templates and options, and what a typo may mean."""

import sys
from pathlib import Path

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.names import (
    IMAGE_SUFFIXES,
    check_template_names,
    did_you_mean,
    known_templates,
    suffix_of,
)

KNOWN = {"MNI152NLin6Asym": "Homo sapiens", "WHS": "Rattus norvegicus", "Mine": "", "fsaverage": "Homo sapiens"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("--epoch", "--epochs"), ("--Batch_size", "--batch-size"), ("--devcie", "--device"), ("--xyz", "")],
)
def test_did_you_mean__the_nearest_word_or_none(word: str, meant: str) -> None:
    said = did_you_mean(word, ["--epochs", "--batch-size", "--device"])
    assert said == (f"; did you mean {meant}?" if meant else "")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_suffix_of__any_case(suffix: str) -> None:
    assert suffix_of(suffix.upper()) == suffix_of(suffix.lower()) == suffix


@pytest.mark.parametrize(
    ("word", "meant"), [("T1", "T1w"), ("FLAIRR", "FLAIR"), ("T2", "T2w"), ("PE", "pet"), ("dwi", None), ("bold", None)]
)
def test_suffix_of__what_bids_has_not(word: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match=rf"^{word} is no suffix") as caught:
        suffix_of(word)
    assert ("did you mean" in str(caught.value)) == (meant is not None)
    if meant == "T1w":
        assert str(caught.value).endswith("did you mean T1w?")


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("MNI152NLin6Assym", "unknown template; did you mean MNI152NLin6Asym[?]"),
        ("mni152nlin6asym:res-2", "unknown template; did you mean MNI152NLin6Asym[?]"),
        ("Mien", "unknown template; did you mean Mine[?]"),
        ("Elsewhere", "unknown template; there are MNI152NLin6Asym, Mine, and those stored"),
        ("WHS", "of Rattus norvegicus"),
        ("fsaverage", "a surface"),
        ("fsnative", "a surface"),
    ],
)
def test_check_template_names__one_that_cannot_serve(space: str, words: str) -> None:
    with pytest.raises(UsageError, match=rf"^--output-spaces: {space}: .*{words}"):
        check_template_names(["T1w", space], KNOWN)


def test_check_template_names__those_that_may_serve() -> None:
    check_template_names(["T1w", "MNI152NLin6Asym:res-2", "Mine"], KNOWN)
    check_template_names(["T1w", "MNI152NLin2009aSym"], KNOWN)
    # Without a list of names, the preparation says what it lacks.
    check_template_names(["Anything"], {})


def test_known_templates__listed_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_templates() == {}, "there is no client here"
    monkeypatch.delitem(sys.modules, "templateflow")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    (tmp_path / "tpl-Mine").mkdir()
    known = known_templates()
    assert known["Mine"] == ""
    assert known["MNI152NLin2009cAsym"] == known["MNI152NLin2009aSym"] == "Homo sapiens"
    assert known["VALiDATe29"] == "Saimiri sciureus and Saimiri boliviensis"
    # Nothing was stored, and the client not imported.
    assert [path.name for path in tmp_path.iterdir()] == ["tpl-Mine"]
    assert "templateflow" not in sys.modules
