"""Names of what is written, and how it is found again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bids_spectsynth.bids import output_files
from bids_spectsynth.bids.output_files import (
    CASE_TABLES,
    ORIGINAL_SPACE,
    case_tables,
    deviation_path,
    find_calibrations,
    find_metrics,
    find_regions,
    find_synthetic,
    find_volumes,
    metrics_path,
    rating_tables,
    regions_path,
    synthetic_path,
    volume_path,
)
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_json, write_text

FINDERS: dict[str, Callable[[Path], list[Path]]] = dict(
    zip(CASE_TABLES, (find_metrics, find_regions, find_volumes, find_calibrations), strict=True)
)


def case_of(participant: str, session: str | None, space: str = "T1w") -> PreparedCase:
    return PreparedCase(participant, session, space, {}, {}, None, None)


def test_rating_tables__names_and_finders_agree(tmp_path: Path) -> None:
    cases = [case_of("01", None), case_of("02", "b"), case_of("02", "a", "MNI152NLin2009aSym")]
    for case in cases:
        for path in rating_tables(tmp_path, case, "m"):
            write_text(path, "x")
    for number, (suffix, find) in enumerate(FINDERS.items()):
        wanted = sorted(rating_tables(tmp_path, case, "m")[number] for case in cases)
        assert find(tmp_path) == wanted, suffix
    first = rating_tables(tmp_path, cases[0], "m")
    named = [path(tmp_path, cases[0], "m") for path in (metrics_path, regions_path, volume_path)]
    assert case_tables(tmp_path, cases[0], "m") == first[:3] == named
    assert first[0] == tmp_path / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-m_metrics.tsv"


@pytest.mark.parametrize("session", [None, "a"])
def test_find_synthetic__only_images_on_the_prepared_grid(tmp_path: Path, session: str | None) -> None:
    case = case_of("01", session)
    image = synthetic_path(tmp_path, case, "m")
    others = deviation_path(tmp_path, case, "m"), synthetic_path(tmp_path, case, "m", space=ORIGINAL_SPACE)
    for path in (image, *others):
        write_text(path, "x")
        facts = {"Synthetic": True} | ({"StandardDeviationOf": "m"} if path == others[0] else {})
        write_json(path.with_name(path.name.replace(".nii.gz", ".json")), facts)
    (found,) = find_synthetic(tmp_path, case)
    assert (found.path, found.model, found.space, found.metrics) == (image, "m", "T1w", None)
    write_text(metrics_path(tmp_path, case, "m"), "x")
    (found,) = find_synthetic(tmp_path, case)
    assert found.metrics == metrics_path(tmp_path, case, "m")


def test_names__no_two_files_share_one(tmp_path: Path) -> None:
    names = [
        output_files.group_table(tmp_path, "metrics"),
        output_files.group_page(tmp_path),
        output_files.subject_page(tmp_path, "01"),
        output_files.participants_file(tmp_path),
        output_files.description_file(tmp_path),
        output_files.descriptions_file(tmp_path),
        output_files.models_folder(tmp_path),
        output_files.figures_folder(tmp_path),
    ]
    assert len(set(names)) == len(names)
    assert all(name.parent == tmp_path for name in names)


def test_metrics_of_all_cases(derivative: tuple[Path, Path]) -> None:
    _, out = derivative
    found = find_metrics(out)
    assert len(found) == 4
    assert {path.relative_to(out).parts[0] for path in found} == {"sub-01", "sub-02"}
    assert find_metrics(out / "nowhere") == []
