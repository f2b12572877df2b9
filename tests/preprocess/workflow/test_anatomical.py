"""Work that sessions share, how often images are opened, and what the steps may take of the machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.preprocess.workflow import build as workflow
from bids_spectsynth.preprocess.workflow.build import preprocess
from tests.packed import unpacked

pytestmark = pytest.mark.usefixtures("tiny_template")

MNI = "MNI152NLin2009aSym"


def shared_head(make_case: Any) -> tuple[Any, Any]:
    """Two sessions of a participant, each with a SPECT of its own, and one T1w image outside sessions."""
    head = make_case("01", ("T1w",)).images["T1w"]
    first, second = (make_case("01", ("T1w", "interictal"), session=session) for session in ("a", "b"))
    return tuple(replace(case, images={**case.images, "T1w": head}) for case in (first, second))  # type: ignore[return-value]


def test_sessions_share_the_work_on_their_t1w(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, openings: Any
) -> None:
    first, second = shared_head(make_case)
    openings.clear()
    assert [outcome.status for outcome in preprocess([first, second], make_options())] == ["ok", "ok"]
    once = ["brain T1w", "register T1w 12 auto"]
    assert sorted(tiny.calls) == sorted([*once, *["register interictal 6 auto", "brain interictal"] * 2])
    # Once for its mask and for the template, and once per session to register and to write.
    assert openings.read[str(first.images["T1w"].path)] == 2 + 2 * 2
    # Each session alone gives the same files.
    for case in (first, second):
        alone = tmp_path / f"alone-{case.session}"
        (outcome,) = preprocess([case], make_options(output_dir=alone, work_dir=alone / "work"))
        assert outcome.status == "ok"
        names = [path.relative_to(alone) for path in alone.glob("sub-01/**/*.*")]
        assert len(names) == 16
        for name in names:
            assert unpacked(tmp_path / "out" / name) == unpacked(alone / name)


def test_a_damaged_t1w_fails_every_session_that_uses_it(
    tiny: Any, make_case: Any, make_options: Any, caplog: Any
) -> None:
    cases = shared_head(make_case)
    other = make_case("02", ("T1w", "interictal"))
    whole = cases[0].images["T1w"].path.read_bytes()
    cases[0].images["T1w"].path.write_bytes(whole[: len(whole) // 2])
    outcomes = preprocess([*cases, other], make_options())
    assert [outcome.status for outcome in outcomes] == ["failed", "failed", "ok"]
    assert all(str(cases[0].images["T1w"].path) in outcome.reason for outcome in outcomes[:2])
    assert "sub-01_T1w: reference failed" in caplog.messages
    cases[0].images["T1w"].path.write_bytes(whole)
    assert [outcome.status for outcome in preprocess(cases, make_options())] == ["ok", "ok"]


def test_images_of_one_name_in_two_folders_are_two_heads(tiny: Any, make_case: Any, make_options: Any) -> None:
    cases = [make_case("01", ("T1w",), session=session) for session in ("a", "b")]
    assert cases[0].images["T1w"].path.name == cases[1].images["T1w"].path.name
    assert [outcome.status for outcome in preprocess(cases, make_options())] == ["ok", "ok"]
    assert tiny.calls.count("brain T1w") == 2


def test_each_step_opens_an_image_once_and_each_result_is_written_once(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, openings: Any
) -> None:
    case = make_case("01", ("T1w", "pet", "interictal", "ictal"))
    openings.clear()
    assert preprocess([case], make_options())[0].status == "ok"
    read = {role: openings.read.pop(str(image.path)) for role, image in case.images.items()}
    # Every image to register it and to write it; the T1w for its mask, each of 3 images, the template, and to write it.
    assert read == {"T1w": 6, "pet": 2, "interictal": 2, "ictal": 2}
    # Masks on own voxels: the T1w's to register 3 images and the template, and to write; each SPECT's to write.
    assert {Path(path).name for path in openings.read} == {"brain_mask.nii.gz"}
    assert sorted(openings.read.values()) == [1, 1, 5]
    assert set(openings.written.values()) == {1}
    results = [path for path in openings.written if path.startswith(str(tmp_path / "out"))]
    assert len(results) == 8
    assert len(openings.written) == 8 + 3


def test_only_the_brain_extraction_takes_several_threads(make_case: Any, make_options: Any, tmp_path: Path) -> None:
    def processors(backend: str, **options: Any) -> dict[str, int]:
        graph = workflow.init_preprocess_wf(
            cases=[make_case("01", ("T1w", "ictal"))],
            settings=make_options(**options),
            identity=workflow.BackendIdentity(backend, "x 1"),
            log_dir=tmp_path,
        )
        return {graph.get_node(name).name: graph.get_node(name).n_procs for name in graph.list_node_names()}

    threads = processors("embedded", nprocs=4, omp_nthreads=3)
    assert {name: n for name, n in threads.items() if n > 1} == {"reference": 3}
    assert {"register_ictal", f"to_{MNI}", "write_space_T1w"} < threads.keys()
    assert processors("embedded", nprocs=2, omp_nthreads=3)["reference"] == 2
    assert set(processors("fsl", nprocs=4, omp_nthreads=3).values()) == {1}
