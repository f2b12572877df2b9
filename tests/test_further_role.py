"""A role that the table does not hold: FLAIR is found, prepared, learnt from, reported and shown in Figure 3."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.roles import ROLES
from bids_spectsynth.bids.sidecars import sidecar

LABELS = ("01", "02", "03")
INPUTS = ("--inputs", "T1w", "flair")


@pytest.fixture
def with_flair(make_app: Callable[..., Any], tmp_path: Path) -> Any:
    """The app on three participants with T1w, FLAIR and interictal SPECT, and a split that holds one of them out."""
    app = make_app(dict.fromkeys(LABELS, ("T1w", "T2w", "interictal")))
    for path in sorted(app.bids_dir.rglob("*_T2w.*")):
        path.rename(path.with_name(path.name.replace("_T2w", "_FLAIR")))
    parts = dict(zip(LABELS, ("train", "validation", "test"), strict=True))
    lines = [f"sub-{label}\t{part}" for label, part in parts.items()]
    app.split_file.write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    app.reports = True
    return app


def _texts(svg: Path) -> list[str]:
    found = (element for element in ElementTree.fromstring(svg.read_text()).iter() if element.tag.endswith("}text"))
    return [" ".join("".join(element.itertext()).split()) for element in found]


def test_a_role_that_the_table_lacks_goes_all_the_way(with_flair: Any) -> None:
    app = with_flair
    assert "FLAIR" not in ROLES
    result = app(*INPUTS, "--split-file", str(app.split_file))
    assert result.code == 0, result.err

    # Found and prepared under its own suffix, masked by the T1w's mask, which is not written once more.
    (case,) = find_prepared(app.output_dir, "T1w", ("03",))
    assert case.images["FLAIR"].name == "sub-03_space-T1w_desc-preproc_FLAIR.nii.gz"
    assert case.images["FLAIR"].parent.name == "anat"
    assert set(case.masks) == {"T1w", "interictal"}
    assert "register FLAIR 6 auto" in app.calls
    assert "brain FLAIR" not in app.calls
    assert sidecar(case.images["FLAIR"])["Description"].startswith("FLAIR, brain-extracted")
    assert "sub-03/anat/sub-03_from-FLAIR_to-T1w_mode-image_xfm.txt" in app.files()

    # An input of the model, and titled on the participant's page.
    (card,) = (json.loads(path.read_text()) for path in app.output_dir.glob("models/*/model.json"))
    assert card["inputs"] == ["T1w", "FLAIR"]
    page = (app.output_dir / "sub-03.html").read_text()
    assert "FLAIR to T1w" in page
    assert "FLAIR on the T1w" in page

    # A column of Figure 3, between T1w and PET.
    assert app(level="group").code == 0
    figure = app.output_dir / "figures" / "paper_figure3.svg"
    shown = _texts(figure)
    titles = [text for text in shown if text in ("T1w", "FLAIR", "PET", "real SPECT")]
    assert titles == ["T1w", "FLAIR", "PET", "real SPECT"]
    assert shown.count("no image") == 1, "the PET alone"
    assert "from MRI & FLAIR" in shown


def test_without_it_the_figure_has_the_papers_columns(finished: Any) -> None:
    titles = [
        text
        for text in _texts(finished.output_dir / "figures" / "paper_figure3.svg")
        if text in ("T1w", "FLAIR", "PET", "real SPECT")
    ]
    assert titles == ["T1w", "PET", "real SPECT"]
