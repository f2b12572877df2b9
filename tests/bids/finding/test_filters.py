"""Filter files, and the filters that messages offer."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bids.layout import Query

from bids_spectsynth.bids.finding.cases import Case, find_cases
from bids_spectsynth.bids.finding.filters import distinguishing_query, read_filters
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]
MakeSettings = Callable[..., Settings]

SPECT_SIDE = {"TracerRadionuclide": "Tc99m"}
T1W, PET = "sub-01/anat/sub-01_T1w", "sub-01/pet/sub-01_trc-FDG_pet"
INTERICTAL = "sub-01/spect/sub-01_task-interictal_trc-HMPAO_spect"


def names(case: Case) -> dict[str, str]:
    return {role: image.path.name.removesuffix(".nii.gz") for role, image in case.images.items()}


def test_filter_file_decides(dataset: Dataset, settings_for: MakeSettings, tmp_path: Path) -> None:
    runs = [f"sub-01/anat/sub-01_run-{n}_T1w" for n in (1, 2)]
    spects = [f"sub-01/spect/sub-01_task-rest_rec-{rec}_spect" for rec in "ab"]
    root = dataset(*runs, *spects, PET, "sub-01/pet/sub-01_trc-PIB_pet")
    path = tmp_path / "filter.json"
    path.write_text(
        json.dumps(
            {
                "t1w": {"run": "2", "acquisition": None},
                "interictal": {"rec": "a", "ses": "Query.NONE"},
                "ictal": {"reconstruction": ["b"]},
                "pet": {"trc": "FDG"},
            }
        )
    )
    (case,), outcomes = find_cases(settings_for(root, bids_filter_file=path))
    assert outcomes == []
    assert names(case) == {
        "T1w": "sub-01_run-2_T1w",
        "ictal": "sub-01_task-rest_rec-b_spect",
        "interictal": "sub-01_task-rest_rec-a_spect",
        "pet": "sub-01_trc-FDG_pet",
    }
    assert "by the filter file" in case.images["ictal"].reason
    assert case.images["ictal"].entities["task"] == "ictal"

    path.write_text(json.dumps({"spect": {"rec": "b"}, "t1w": {"run": 1}, "pet": {"tracer": "PIB"}}))
    (case,), _ = find_cases(settings_for(root, bids_filter_file=path))
    assert names(case)["interictal"] == "sub-01_task-rest_rec-b_spect"
    assert names(case)["pet"] == "sub-01_trc-PIB_pet"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"t1w": ', "not valid JSON"),
        ('["t1w"]', "not an object"),
        ('{"t1w": 3}', "not an object"),
        ('{"bold": {}}', "unknown image 'bold'; known: t1w"),
        ('{"t1w": {"colour": "red"}}', "unknown entity 'colour'"),
        ('{"t1w": {"run": "x"}}', "not a number"),
        ('{"t1w": {"session": true}}', "not a label"),
        (None, "cannot read"),
    ],
)
def test_bad_filter_files(
    dataset: Dataset, settings_for: MakeSettings, tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "filter.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        find_cases(settings_for(dataset(T1W), bids_filter_file=path))


SPECT, ICTAL = "sub-01/spect/sub-01_trc-HMPAO_spect", "sub-01/spect/sub-01_task-ictal_trc-HMPAO_spect"


@pytest.mark.parametrize(
    "images",
    [
        ["anat/sub-01_run-1_T1w.nii.gz", "anat/sub-01_run-2_T1w.nii.gz"],
        ["anat/sub-01_T1w.nii.gz", "anat/sub-01_acq-hires_T1w.nii.gz"],
        ["anat/sub-01_T1w.nii.gz", "anat/sub-01_T1w.nii"],
        ["anat/sub-01_T1w.nii.gz", "anat/sub-01_part-mag_T1w.nii.gz"],
        ["anat/sub-01_inv-1_T1w.nii.gz", "anat/sub-01_inv-2_T1w.nii.gz", "anat/sub-01_inv-2_run-2_T1w.nii.gz"],
        ["ses-a/anat/sub-01_ses-a_T1w.nii.gz", "ses-b/anat/sub-01_ses-b_T1w.nii.gz"],
        ["pet/sub-01_trc-FDG_pet.nii.gz", "pet/sub-01_trc-FMZ_pet.nii.gz"],
        ["pet/sub-01_trc-FDG_rec-a_pet.nii.gz", "pet/sub-01_trc-FDG_rec-b_pet.nii.gz"],
        ["spect/sub-01_task-interictal_rec-a_spect.nii.gz", "spect/sub-01_task-interictal_rec-b_spect.nii.gz"],
        ["spect/sub-01_task-interictal_trc-ECD_spect.nii.gz", "spect/sub-01_task-interictal_trc-HMPAO_spect.nii.gz"],
        ["spect/sub-01_task-interictal_trc-ECD_spect.nii.gz", "pet/sub-01_task-interictal_trc-ECD_pet.nii.gz"],
        ["spect/sub-01_task-interictal_spect.nii.gz", "spect/sub-01_spect.nii.gz"],
        ["spect/sub-01_task-interictal_spect.nii.gz", "spect/sub-01_task-interictal_spect.nii"],
    ],
)
def test_find_cases__the_filter_that_the_message_offers_ends_the_choice(
    dataset: Dataset, settings_for: MakeSettings, tmp_path: Path, images: list[str]
) -> None:
    kind = images[0].partition(".")[0].rpartition("_")[2]
    others = {"T1w": T1W, "pet": PET, "spect": INTERICTAL}
    root = dataset(*(name for suffix, name in others.items() if suffix != kind), ICTAL)
    for name in images:
        path = root / "sub-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((root / f"{ICTAL}.nii.gz").read_bytes())
    cases, (outcome,) = find_cases(settings_for(root))
    assert cases == []
    assert all(Path(name).name in outcome.reason for name in images)
    found = re.search(r"--bids-filter-file, e\.g\. (\{.*\})$", outcome.reason)
    assert found
    (tmp_path / "filter.json").write_text(found[1])
    (case,), outcomes = find_cases(settings_for(root, bids_filter_file=tmp_path / "filter.json"))
    assert outcomes == []
    assert set(case.images) == {"T1w", "pet", "interictal", "ictal"}
    role = {"T1w": "T1w", "pet": "pet", "spect": "interictal"}[kind]
    assert case.images[role].path.relative_to(root / "sub-01").as_posix() in images


def test_find_cases__images_that_no_filter_tells_apart(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset("sub-01/anat/sub-01_hemi-L_T1w", "sub-01/anat/sub-01_hemi-R_T1w")
    _, (outcome,) = find_cases(settings_for(root))
    assert "hemi-L_T1w.nii.gz, sub-01_hemi-R_T1w.nii.gz; no filter can tell them apart" in outcome.reason


@pytest.mark.parametrize(
    "spect",
    [SPECT, "sub-01/pet/sub-01_trc-HMPAO_pet", "sub-01/pet/sub-01_rec-x_pet", "sub-01/ses-a/spect/sub-01_ses-a_spect"],
)
@pytest.mark.parametrize("ictal", [ICTAL, "sub-01/pet/sub-01_task-ictal_trc-HMPAO_pet"])
def test_find_cases__a_spect_that_says_nothing_is_no_target_until_a_filter_says_what_it_is(
    dataset: Dataset, settings_for: MakeSettings, tmp_path: Path, spect: str, ictal: str
) -> None:
    named = [name.replace("01", "02") for name in (T1W, PET, INTERICTAL)]
    root = dataset(T1W, PET, spect, ictal, *named, sidecars={spect: {"TracerRadionuclide": "Tc99m"}, ictal: SPECT_SIDE})
    (one, two), _ = find_cases(settings_for(root))
    assert one.is_state_assumed
    assert one.images["interictal"].path == root / f"{spect}.nii.gz"
    assert not two.is_state_assumed
    (warning,) = (line for line in one.warnings if "not used for training" in line)
    assert "rename it with task-interictal" in warning
    (tmp_path / "filter.json").write_text(warning.partition("e.g. ")[2])
    (one, two), _ = find_cases(settings_for(root, bids_filter_file=tmp_path / "filter.json"))
    assert one.images["interictal"].path == root / f"{spect}.nii.gz"
    assert not one.is_state_assumed
    assert {"pet", "ictal"} <= set(one.images)
    assert two.images["pet"].path == root / f"{named[1]}.nii.gz"


def test_read_filters__names_and_values_as_pybids_has_them(tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    query = {"ses": "ses-a", "subject": ["sub-01", 2], "run": ["1", 2], "acq": None, "trc": "*", "rec": "Query.NONE"}
    others = {"direction": "Query.REQUIRED", "proc": "Query.ANY", "ce": "Query.OPTIONAL", "mod": "sub-x", "echo": 1}
    path.write_text(json.dumps({"T1w": {**query, **others}, "flair": {}, "DWI": {}}), encoding="utf-8-sig")
    assert read_filters(path, ["dwi"]) == {
        "t1w": {
            "session": "a",
            "subject": ["01", "2"],
            "run": [1, 2],
            "acquisition": Query.NONE,
            "tracer": Query.ANY,
            "reconstruction": Query.NONE,
            "direction": Query.ANY,
            "processing": Query.ANY,
            "ceagent": Query.OPTIONAL,
            "modality": "sub-x",
            "echo": "1",
        },
        "flair": {},
        "dwi": {},
    }
    assert read_filters(None, []) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"bold": {}}', "unknown image 'bold'; known: t1w, .*, flair, t2w$"),
        ('{"t1w": {"colour": "red"}}', "t1w: unknown entity 'colour'; known: subject, session, "),
        ('{"t1w": {"run": "x"}}', "run: 'x' is not a number$"),
        ('{"t1w": {"run": [1, true]}}', "run: .*rue is not a label; give text, a number, a list of them or null$"),
        ('{"t1w": {"session": 1.5}}', "session: 1.5 is not a label"),
        ('{"t1w": {"session": {"a": 1}}}', "session: .* is not a label"),
        ('{"t1w": {"session": [["a"]]}}', "session: .* is not a label"),
        ("[1]", r'not an object of objects such as \{"t1w": \{"run": 1\}\}$'),
        ('{"t1w": {}, "pet": 1}', r'not an object of objects such as \{"t1w": \{"run": 1\}\}$'),
    ],
)
def test_read_filters__messages_begin_with_the_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "filter.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=f"^{re.escape(str(path))}: {message}"):
        read_filters(path, [])


def test_distinguishing_query__the_shortest_and_the_keys_that_are_asked_for_first() -> None:
    chosen = Path("/raw/sub-01/pet/sub-01_trc-FDG_rec-a_run-01_pet.nii.gz")
    other = Path("/raw/sub-01/pet/sub-01_trc-PIB_rec-b_run-2_pet.nii")
    assert distinguishing_query(chosen, [other], ["run"]) == {"run": 1}
    assert distinguishing_query(chosen, [other], ["trc", "run"]) == {"trc": "FDG"}
    assert distinguishing_query(chosen, [other], ["extension"]) == {"extension": ".nii.gz"}
    cross = [
        Path("/raw/sub-01/pet/sub-01_trc-PIB_rec-a_run-1_pet.nii.gz"),
        Path("/raw/sub-01/pet/sub-01_trc-FDG_rec-b_run-1_pet.nii.gz"),
    ]
    assert distinguishing_query(chosen, cross) == {"trc": "FDG", "rec": "a"}
    assert distinguishing_query(chosen, [chosen]) is None
    plain = Path("/raw/sub-01/pet/sub-01_pet.nii.gz")
    assert distinguishing_query(plain, [chosen], ["trc"]) == {"trc": None}
    assert distinguishing_query(chosen, [Path("/raw/sub-01/spect") / chosen.name], []) == {"datatype": "pet"}
