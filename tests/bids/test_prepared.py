"""Reading back what the stages wrote."""

import shutil
from pathlib import Path

from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.writing import read_matrix


def test_prepared_cases_by_space(derivative: tuple[Path, Path]) -> None:
    raw, out = derivative
    shutil.rmtree(raw)  # the output folder is enough
    one, two = find_prepared(out, "T1w")
    assert (one.name, two.name) == ("sub-01", "sub-02_ses-post")
    assert set(one.images) == {"T1w", "T2w", "FLAIR", "pet", "interictal", "ictal"}
    assert set(one.masks) == {"T1w", "pet", "interictal", "ictal"}
    assert one.images["interictal"].name == "sub-01_task-interictal_trc-HMPAO_space-T1w_desc-preproc_spect.nii.gz"
    assert one.template == "MNI152NLin2009aSym"
    assert one.template_xfm is not None
    assert read_matrix(one.template_xfm).shape == (4, 4)

    assert [case.name for case in find_prepared(out, "MNIPediatricAsym+3")] == ["sub-02_ses-post"]
    assert find_prepared(out, "MNIPediatricAsym+3")[0].template == "MNIPediatricAsym+3"
    assert [case.name for case in find_prepared(out, "T1w", ("sub-02",))] == ["sub-02_ses-post"]
    assert find_prepared(out, "T1w", ("9",)) == []


def test_case_without_brain_mask_is_not_prepared(derivative: tuple[Path, Path]) -> None:
    _, out = derivative
    (out / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz").unlink()
    assert [case.name for case in find_prepared(out, "T1w")] == ["sub-02_ses-post"]
    for path in (out / "sub-02/ses-post/anat").glob("*xfm.txt"):
        path.unlink()
    (case,) = find_prepared(out, "T1w")
    assert (case.template_xfm, case.template) == (None, None)
