"""Templates are read without a network, under their own names only."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE
from bids_spectsynth.preprocess.templates import templates
from bids_spectsynth.preprocess.templates.templates import check_template, fetch_template, inspect_template


def test_the_built_in_template_is_a_brain_at_1_mm() -> None:
    template = fetch_template(BUILT_IN_TEMPLATE)
    image, mask = np.asarray(template.image.dataobj), np.asarray(template.mask.dataobj)
    assert np.allclose(np.abs(np.diag(template.image.affine)[:3]), 1)
    assert 1.5e6 < mask.sum() < 2.2e6
    assert np.all(image[mask == 0] == 0)
    assert template.name == "MNI152NLin2009aSym"


def test_the_built_in_template_is_nilearns_own_without_importing_it() -> None:
    code = (
        "import sys; from bids_spectsynth.preprocess.templates.templates import fetch_template; "
        f"fetch_template({BUILT_IN_TEMPLATE!r}); sys.exit('nilearn.datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    plain = load_mni152_template(resolution=1)
    image = fetch_template(BUILT_IN_TEMPLATE).image
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(plain.dataobj, dtype=np.float32))
    np.testing.assert_array_equal(image.affine, plain.affine)


def test_a_nilearn_that_moved_the_file_is_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fetch_template(BUILT_IN_TEMPLATE)
    monkeypatch.setattr(templates, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    check_template(BUILT_IN_TEMPLATE)
    after = fetch_template(BUILT_IN_TEMPLATE)
    for one, other in ((before.image, after.image), (before.mask, after.mask)):
        np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
        np.testing.assert_array_equal(one.affine, other.affine)


def test_a_nilearn_without_the_template_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(resolution: int) -> None:
        raise FileNotFoundError("no\nsuch file")

    monkeypatch.setattr("nilearn.datasets.load_mni152_template", fail)
    for found in (None, SimpleNamespace(origin=str(tmp_path / "__init__.py"))):
        monkeypatch.setattr(templates, "find_spec", lambda name, found=found: found)
        for use in (check_template, fetch_template):
            with pytest.raises(UsageError, match="pip install nilearn") as caught:
                use(BUILT_IN_TEMPLATE)
            assert "\n" not in str(caught.value)


def test_a_stored_template_is_masked_and_needs_no_client(store: Callable[..., Path]) -> None:
    head = store("MNI152NLin6Sym")
    template = fetch_template("MNI152NLin6Sym")
    whole = nib.load(head).get_fdata()
    assert np.asarray(template.image.dataobj).sum() == pytest.approx(whole[whole > 50].sum())
    assert np.asarray(template.image.dataobj).sum() < 0.99 * whole.sum()
    assert np.asarray(template.mask.dataobj).dtype == np.uint8
    assert template.source == (
        "https://templateflow.s3.amazonaws.com/tpl-MNI152NLin6Sym/tpl-MNI152NLin6Sym_res-01_T1w.nii.gz"
    )


@pytest.mark.parametrize(("cohort", "res", "mask"), [("3", "1", "desc-brain"), ("3", None, "label-brain")])
def test_a_cohort_is_read_from_its_folder(store: Callable[..., Path], cohort: str, res: str | None, mask: str) -> None:
    head = store("Mine", cohort=cohort, res=res, mask=mask)
    template = fetch_template("Mine:cohort-3")
    assert template.name == "Mine+3"
    assert template.source.endswith(f"/tpl-Mine/cohort-3/{head.name}")
    assert 0 < np.asarray(template.mask.dataobj).mean() < 1


@pytest.mark.parametrize(("name", "resolution"), [("MNI152NLin2009cSym", "1"), ("MNI152Lin", "01")])
def test_resolutions_are_padded_or_not(store: Callable[..., Path], name: str, resolution: str) -> None:
    store(name, res=resolution)
    assert check_template(name) == check_template(f"{name}:res-1") == f"{name}:res-1"
    assert fetch_template(f"{name}:res-1").source.endswith(f"tpl-{name}_res-{resolution}_T1w.nii.gz")


def test_what_is_taken_is_logged(store: Callable[..., Path], caplog: Any) -> None:
    caplog.set_level("INFO")
    store("Mine", cohort="3", res="2")
    check_template("Mine:cohort-3")
    assert "Template Mine+3: tpl-Mine/cohort-3/tpl-Mine_cohort-3_res-2_T1w.nii.gz, brain mask" in caplog.text


def test_the_built_in_template_always_passes_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", "/nowhere")
    for asked in (BUILT_IN_TEMPLATE, f"{BUILT_IN_TEMPLATE}:res-1"):
        assert check_template(asked) == BUILT_IN_TEMPLATE
        inspect_template(asked)
        assert fetch_template(asked).name == BUILT_IN_TEMPLATE
