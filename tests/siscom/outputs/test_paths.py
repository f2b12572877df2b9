from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.siscom.outputs.paths import (
    STATISTICS,
    clusters_path,
    concordance_path,
    find_siscom,
    map_path,
    siscom_files,
)

LABEL = st.text("aZ09", min_size=1, max_size=6)
FULL = "sub-01_ses-b_task-ictal_trc-HMPAO_run-1_space-T1w_desc-preproc_spect.nii.gz"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def all_files(ictal: Path, *labels: str) -> list[Path]:
    """The files of the SISCOMs of one scan."""
    made = [concordance_path(ictal), concordance_path(ictal).with_suffix(".json")]
    for label in labels:
        images = [map_path(ictal, label, statistic) for statistic in STATISTICS]
        made += [*images, *(path.with_name(path.name.replace(".nii.gz", ".json")) for path in images)]
        made += [clusters_path(ictal, label), clusters_path(ictal, label).with_suffix(".json")]
    return sorted(touch(path) for path in made)


def test_paths__keep_session_tracer_and_run() -> None:
    ictal = Path("out/sub-01/ses-b/spect") / FULL
    stem = "sub-01_ses-b_task-ictal_trc-HMPAO_run-1_space-T1w"
    assert map_path(ictal, "Real", "znull") == ictal.with_name(f"{stem}_desc-siscomReal_stat-znull_statmap.nii.gz")
    assert clusters_path(ictal, "Pix2pixT1w") == ictal.with_name(f"{stem}_desc-siscomPix2pixT1w_clusters.tsv")
    assert concordance_path(ictal) == ictal.with_name(f"{stem}_desc-siscom_concordance.tsv")


@settings(max_examples=25, deadline=None)
@given(LABEL, st.none() | LABEL, st.none() | LABEL, st.none() | st.integers(1, 99), LABEL, st.sampled_from(STATISTICS))
def test_map_path__of_any_scan_keeps_all_that_the_scan_has(
    sub: str, ses: str | None, trc: str | None, run: int | None, label: str, statistic: str
) -> None:
    entities = [f"sub-{sub}", ses and f"ses-{ses}", "task-ictal", trc and f"trc-{trc}", run and f"run-{run}"]
    stem = "_".join([*filter(None, entities), "space-T1w"])
    ictal = Path(f"{stem}_desc-preproc_spect.nii.gz")
    assert map_path(ictal, label, statistic).name == f"{stem}_desc-siscom{label}_stat-{statistic}_statmap.nii.gz"  # type: ignore[arg-type]


@pytest.mark.parametrize("other", ["run-1", "run-10", "run-01"])
def test_siscom_files__are_those_of_that_scan_alone(tmp_path: Path, other: str) -> None:
    ictal = tmp_path / FULL.replace("run-1", "run-2")
    own = all_files(ictal, "Real", "Pet")
    assert own
    all_files(tmp_path / FULL.replace("run-1", other), "Real")
    all_files(tmp_path / FULL.replace("ses-b", "ses-b2").replace("run-1", "run-2"), "Real")
    all_files(tmp_path / FULL.replace("_run-1", ""), "Real")
    all_files(tmp_path / FULL.replace("_trc-HMPAO_run-1", "_trc-ECD_run-2"), "Real")
    # Neither inputs nor synthetic images of a model that happens to be called so.
    for name in (FULL, FULL.replace("preproc_spect", "siscomfort_spect")):
        touch(tmp_path / name.replace("run-1", "run-2"))
    assert siscom_files(ictal) == own


def test_siscom_files__run_1_is_not_run_10(tmp_path: Path) -> None:
    first, tenth = tmp_path / FULL, tmp_path / FULL.replace("run-1", "run-10")
    own, others = all_files(first, "Real"), all_files(tenth, "Real")
    assert siscom_files(first) == own
    assert siscom_files(tenth) == others
    assert siscom_files(tmp_path / FULL.replace("run-1", "run-3")) == []


def test_find_siscom__each_scan_and_baseline_with_the_maps_that_there_are(tmp_path: Path) -> None:
    one = tmp_path / "sub-01/ses-b/spect" / FULL
    two = tmp_path / "sub-02/spect/sub-02_task-ictal_space-T1w_desc-preproc_spect.nii.gz"
    all_files(one, "Real", "Pet")
    touch(clusters_path(two, "Best"))
    touch(map_path(two, "Best", "z"))
    # Not a folder of the participant's SPECTs.
    touch(tmp_path / "work/spect/sub-03_task-ictal_space-T1w_desc-siscomReal_clusters.tsv")
    found = find_siscom(tmp_path)
    assert [(one.participant, one.session, one.label) for one in found] == [
        ("01", "b", "Pet"),
        ("01", "b", "Real"),
        ("02", None, "Best"),
    ]
    real = next(one for one in found if one.label == "Real")
    assert real.ictal == "sub-01_ses-b_task-ictal_trc-HMPAO_run-1"
    assert real.clusters == clusters_path(one, "Real")
    assert tuple(real.maps) == STATISTICS
    (best,) = find_siscom(tmp_path, "02")
    assert best.maps == {"z": map_path(two, "Best", "z")}
    assert find_siscom(tmp_path, "09") == []
