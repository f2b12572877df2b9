"""Templates are found without a network, under their own names only."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess import templates
from bids_spectsynth.preprocess.templates import BUILT_IN_TEMPLATE, check_template, fetch_template


def store(home: Path, name: str, resolution: str = "01") -> None:
    folder = home / f"tpl-{name}"
    folder.mkdir(parents=True)
    head = np.full((8, 9, 10), 5, dtype=np.int16)
    head[0] = 0
    mask = np.zeros((8, 9, 10), dtype=np.uint8)
    mask[2:6, 3:6, 3:7] = 1
    nib.save(nib.Nifti1Image(head, np.eye(4)), folder / f"tpl-{name}_res-{resolution}_T1w.nii.gz")
    nib.save(nib.Nifti1Image(mask, np.eye(4)), folder / f"tpl-{name}_res-{resolution}_desc-brain_mask.nii.gz")


class FakeApi(ModuleType):
    """Stands for templateflow.api: a download that fails, or that leaves the placeholders as they are."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__("templateflow.api")
        self.error = error

    def get(self, *args: Any, **kwargs: Any) -> None:
        if self.error is not None:
            raise self.error


def fake_templateflow(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    package = ModuleType("templateflow")
    package.api = FakeApi(error)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "templateflow", package)


def test_the_built_in_template_is_a_brain_at_1_mm() -> None:
    template = fetch_template(BUILT_IN_TEMPLATE)
    image, mask = np.asarray(template.image.dataobj), np.asarray(template.mask.dataobj)
    assert np.allclose(np.abs(np.diag(template.image.affine)[:3]), 1)
    assert 1.5e6 < mask.sum() < 2.2e6
    assert np.all(image[mask == 0] == 0)
    assert template.name == "MNI152NLin2009aSym"


def test_the_built_in_template_is_nilearns_own_without_importing_it() -> None:
    code = (
        "import sys; from bids_spectsynth.preprocess.templates import fetch_template; "
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


def test_a_stored_template_is_masked_and_needs_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, "MNI152NLin6Sym")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "templateflow", None)
    template = fetch_template("MNI152NLin6Sym")
    assert np.asarray(template.image.dataobj).sum() == 5 * 4 * 3 * 4
    assert np.asarray(template.mask.dataobj).dtype == np.uint8
    assert template.source.endswith("tpl-MNI152NLin6Sym_res-01_T1w.nii.gz")
    assert str(tmp_path) not in template.source


@pytest.mark.parametrize(("name", "resolution"), [("MNI152NLin2009cSym", "1"), ("MNI152Lin", "01")])
def test_resolutions_are_padded_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, resolution: str
) -> None:
    store(tmp_path, name, resolution)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    fake_templateflow(monkeypatch, ConnectionError("not asked for"))
    check_template(name)
    assert fetch_template(name).source.endswith(f"tpl-{name}_res-{resolution}_T1w.nii.gz")


def test_a_resolution_of_the_output_is_no_part_of_the_name() -> None:
    with pytest.raises(UsageError, match="write MNI152NLin6Asym; --voxel-size"):
        check_template("MNI152NLin6Asym:res-2")


@pytest.mark.parametrize("name", ["MNI152", "T1w", "MNI152NLin2009bAsym", "MNIPediatricAsym:cohort-3"])
def test_an_unknown_name_is_a_usage_error_that_lists_the_choices(name: str) -> None:
    with pytest.raises(UsageError, match="MNI152NLin2009aSym, MNI152NLin6Sym"):
        check_template(name)


def test_no_network_says_how_to_prefetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    fake_templateflow(monkeypatch, ConnectionError("no route to host"))
    with pytest.raises(UsageError, match=r"MNI152NLin6Asym.*no route to host.*TEMPLATEFLOW_HOME") as caught:
        fetch_template("MNI152NLin6Asym")
    assert "\n" not in str(caught.value)


def test_placeholders_of_0_bytes_are_not_taken_for_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, "MNI152NLin6Sym")
    (tmp_path / "tpl-MNI152NLin6Sym" / "tpl-MNI152NLin6Sym_res-01_desc-brain_mask.nii.gz").write_bytes(b"")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    fake_templateflow(monkeypatch, None)
    with pytest.raises(UsageError, match="placeholders"):
        check_template("MNI152NLin6Sym")


def test_the_built_in_template_always_passes_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", "/nowhere")
    check_template(BUILT_IN_TEMPLATE)
