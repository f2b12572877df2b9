"""A template with cohorts through the whole app: preparation, a model in its space, ``apply``, and the group level."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

CHILD, INFANT = "MNIPediatricAsym+3", "MNIInfant+2"
SPACES = ("--output-spaces", "T1w", "MNIPediatricAsym:cohort-3", "MNIInfant:cohort-2:res-02")
LABELS = {"T1w": "pix2pixT1w", CHILD: "pix2pixT1wMNIPediatricAsymCohort3", INFANT: "pix2pixT1wMNIInfantCohort2"}
REGISTERED = "register T1w 12 auto"


@pytest.fixture
def app(make_app: Callable[..., Any], store: Callable[..., Path]) -> Any:
    """The app on three participants, with two resolutions of each of two templates."""
    for name, cohort in (("MNIPediatricAsym", "3"), ("MNIInfant", "2")):
        for res in ("1", "2"):
            store(name, cohort=cohort, res=res)
    app = make_app(dict.fromkeys(("01", "02", "03"), ("T1w", "interictal")))
    app.real_templates = True
    return app


def template_of(app: Any, label: str, space: str) -> str:
    path = app.output_dir / f"sub-{label}/anat/sub-{label}_from-T1w_to-{space}_mode-image_xfm.json"
    return str(json.loads(path.read_text())["Template"])


@pytest.fixture
def trained(app: Any) -> Any:
    """The app with a model in each space."""
    result = app(*SPACES, "--inputs", "T1w", "--split-counts", "1", "1", "1")
    assert result.code == 0, result.err
    assert result.says("Template MNIInfant+2: tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-2_T1w.nii.gz")
    return app


def test_from_preparation_to_the_group(trained: Any) -> None:
    app = trained
    assert template_of(app, "01", CHILD) == "MNIPediatricAsym:cohort-3:res-1"
    assert template_of(app, "01", INFANT) == "MNIInfant:cohort-2:res-2"
    assert app.calls.count(REGISTERED) == 6
    for space, label in LABELS.items():
        assert app.card(label)["space"] == space
        made = app.files(f"sub-*/spect/*_space-{space}_desc-{label}_spect.nii.gz")
        assert len(made) == 3
        assert len(app.files(f"sub-*/spect/*_space-{space}_desc-{label}_metrics.tsv")) == 1

    grouped = app(level="group")
    assert grouped.code == 0, grouped.err
    summary = pd.read_csv(app.output_dir / "group_summary.tsv", sep="\t")
    assert set(summary["space"]) == set(LABELS)
    regions = pd.read_csv(app.output_dir / "group_regions.tsv", sep="\t", keep_default_na=False)
    assert {CHILD, INFANT} <= set(regions["template"])
    assert app.files("figures/paper_figure4*.svg") == {
        "figures/paper_figure4.svg",
        f"figures/paper_figure4_{CHILD}.svg",
    }
    page = (app.output_dir / "group.html").read_text()
    assert CHILD in page
    assert INFANT in page


def test_models_are_applied_in_their_space(trained: Any) -> None:
    app = trained
    apply = ("--mode", "apply", "--participant-label", "03")
    app.calls.clear()
    app.reports = True
    (app.output_dir / "sub-03.html").unlink()
    assert app(*apply, *SPACES).code == 0
    assert app.calls == []
    page = (app.output_dir / "sub-03.html").read_text()
    assert f"Outline of {INFANT} on the T1w" in page
    assert "cannot be shown" not in page
    app.reports = False

    synthetic = f"sub-*/spect/*_space-{INFANT}_*desc-{LABELS[INFANT]}_spect.nii.gz"
    prepared = f"sub-03/anat/*_space-{INFANT}_desc-preproc_T1w.nii.gz"
    before = app.stamps(synthetic, prepared)
    assert app(*apply, "--output-spaces", "MNIInfant:cohort-2:res-1").code == 0
    assert app.calls.count(REGISTERED) == 1
    assert template_of(app, "03", INFANT) == "MNIInfant:cohort-2:res-1"
    changed = {name for name, stamp in app.stamps(synthetic, prepared).items() if stamp != before[name]}
    # Prepared anew, to the same voxels, because the backend of the tests registers nothing: what follows is current.
    assert changed == app.files(prepared) != set()

    model = app.output_dir / "models" / LABELS[INFANT]
    refused = app(*apply, "--model", model, "--output-spaces", "MNIPediatricAsym:cohort-3")
    assert refused.code == 5
    assert "use --output-spaces MNIInfant:cohort-2" in refused.errors[0]


def test_a_dry_run_names_the_files(app: Any) -> None:
    result = app("--mode", "preprocess", "--dry-run", *SPACES)
    assert result.code == 0
    assert result.says("prepare with", "T1w, MNIPediatricAsym:cohort-3, MNIInfant:cohort-2:res-2")
    assert result.says("template MNIPediatricAsym+3: ", "tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz")
    assert result.says("template MNIInfant+2: ", "tpl-MNIInfant_cohort-2_res-2_T1w.nii.gz")
    assert not app.output_dir.exists()
    refused = app("--mode", "preprocess", "--dry-run", "--output-spaces", "fsaverage")
    assert (refused.code, len(refused.errors)) == (2, 1)
