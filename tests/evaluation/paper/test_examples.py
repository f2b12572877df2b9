import dataclasses
import gzip

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.group.configurations import paper_rows
from bids_spectsynth.evaluation.paper.example_images import read_example
from bids_spectsynth.evaluation.paper.examples import choose_examples, shown_models
from bids_spectsynth.synthesis.prediction.reading import network_output

NAMES = ("07", "03", "11", "05", "02", "09")


def test_the_first_five_by_label_and_one_of_another_cohort(model):
    rows = [
        model("m", "pet", "T1w", "L1+BCE", participants=NAMES),
        model("m", "pet", "T1w", "L1+BCE", participants=("x2", "x1"), split="external"),
    ]
    chosen = choose_examples(paper_rows(pd.concat(rows)), "T1w")
    assert [one.participant_id for one in chosen] == [f"sub-{n}" for n in ("02", "03", "05", "07", "09", "x1")]
    assert [one.number for one in chosen] == [1, 2, 3, 4, 5, 6]
    assert [one.split for one in chosen] == ["test"] * 5 + ["external"]


def test_an_external_cohort_alone_gives_five(model):
    rows = model("m", "pet", "T1w", "L1+BCE", participants=NAMES, split="external")
    assert len(choose_examples(paper_rows(rows), "T1w")) == 5


def test_the_choice_does_not_look_at_metrics(model):
    rows = paper_rows(model("m", "pet", "T1w", "L1+BCE", participants=NAMES))
    other = rows.assign(rmse=rows["rmse"].to_numpy()[::-1], ssim=0.0)
    assert choose_examples(rows, "T1w") == choose_examples(other.sample(frac=1, random_state=1), "T1w")


def test_the_middle_of_the_block_of_the_first_session(model):
    rows = paper_rows(model("m", "pet", "T1w", "L1+BCE"))
    later = rows.assign(session_id="ses-b", slice=rows["slice"] + 50)
    first = rows.assign(session_id="ses-a")
    (one, *_) = choose_examples(pd.concat([later, first]), "T1w")
    assert (one.session_id, one.slice, one.z_mm) == ("ses-a", 12, -6.0)


def test_slices_that_all_models_count_are_preferred(model):
    short, long = (paper_rows(model(name, "pet", "T1w", "L1+BCE")) for name in ("a", "b"))
    short = short[short["slice"] >= 13]
    assert {one.slice for one in choose_examples(pd.concat([short, long]), "T1w")} == {13}


def test_of_seeds_the_lowest_number_is_shown(model):
    rows = pd.concat([model("m", "pet", "T1w", "L1+BCE", seed=seed) for seed in (10, 9)])
    ((_, name),) = shown_models(paper_rows(rows), "T1w")
    assert name == "mSeed9"


@pytest.fixture
def output(tmp_path, model, images):
    rows = paper_rows(model("m", "pet", "T1w", "L1+BCE"))
    images(tmp_path, rows)
    return tmp_path, choose_examples(rows, "T1w")[0]


def test_slices_are_those_that_were_rated(output):
    out, example = output
    read = read_example(out, example, {"m": "slice"})
    folder = out / example.participant_id / "spect"
    (synthetic,) = folder.glob("*_desc-m_spect.nii.gz")
    np.testing.assert_allclose(read.synthetic["m"], network_output(synthetic)[..., example.slice], atol=1e-6)
    assert (read.real.min(), read.real.max()) == (-1, 1)
    assert read.brain.any()
    assert read.zooms == (2, 2)
    assert set(read.inputs) == {"T1w", "pet"}


def test_images_of_volume_scaling_are_shown_as_they_were_rated(output):
    out, example = output
    folder = out / example.participant_id / "spect"
    (path,) = folder.glob("*_desc-m_spect.nii.gz")
    made, real = (np.asarray(nib.load(one).dataobj) for one in (path, *folder.glob("*_desc-preproc_spect.nii.gz")))
    (mask,) = (out / example.participant_id / "anat").glob("*_mask.nii.gz")
    brain = np.asarray(nib.load(mask).dataobj) > 0
    example = dataclasses.replace(example, slice=7)
    shown = read_example(out, example, {"m": "volume"}).synthetic["m"]
    # By hand: the real SPECT's mean over the brain, then the extremes of the real slice.
    matched = made[..., example.slice] * (real[brain].mean() / made[brain].mean())
    low, high = real[..., example.slice].min(), real[..., example.slice].max()
    np.testing.assert_allclose(shown, np.clip(2 * (matched - low) / (high - low) - 1, -1, 1), atol=1e-5)
    assert shown.max() < 0.99, "its own extremes would reach 1"


def test_what_is_absent_is_left_out(output):
    out, example = output
    for path in (out / example.participant_id / "pet").iterdir():
        path.unlink()
    read = read_example(out, example, {"other": "slice"})
    assert read.synthetic == {}
    assert set(read.inputs) == {"T1w"}


@pytest.mark.parametrize("damage", ["truncated", "grid", "sidecar", "flipped"])
def test_damaged_images_are_named(output, damage):
    out, example = output
    (path,) = (out / example.participant_id / "spect").glob("*_desc-m_spect.nii.gz")
    image = nib.load(path)
    match damage:
        case "truncated":
            path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:400]))
        case "grid":
            nib.save(nib.Nifti1Image(np.zeros((5, 6, 20), np.float32), image.affine), path)
        case "sidecar":
            sidecar_path(path).write_text('{"Synthetic": true}')
        case "flipped":
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine @ np.diag([-1, 1, 1, 1])), path)
    with pytest.raises(ImageError, match=r"_desc-m_spect\.nii\.gz"):
        read_example(out, example, {"m": "slice"})
