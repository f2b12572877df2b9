"""What the workflow of a case holds: whose mask, and which templates, by images and options."""

from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions
from bids_spectsynth.preprocess.workflow.anatomical import BackendIdentity, requested_templates, templates_of
from bids_spectsynth.preprocess.workflow.build import preprocess
from bids_spectsynth.preprocess.workflow.case import case_parts, has_own_mask


@pytest.mark.parametrize(
    ("role", "backend", "bet_pet", "own"),
    [
        ("ictal", "embedded", False, True),
        ("ictal", "fsl", False, True),
        ("pet", "embedded", True, False),
        ("pet", "fsl", False, False),
        ("pet", "fsl", True, True),
        ("T2w", "fsl", True, False),
    ],
)
def test_has_own_mask__of_pet_only_where_bet_is_asked_to(role: str, backend: str, bet_pet: bool, own: bool) -> None:
    assert has_own_mask(role, BackendIdentity(backend, "x 1", FslOptions(pet_mask=bet_pet))) is own


@pytest.mark.parametrize(
    ("values", "roles", "registered"),
    [
        ({"mode": "auto"}, ("T1w", "pet", "interictal"), True),
        ({"mode": "apply"}, ("T1w", "pet", "ictal"), True),
        ({"mode": "apply"}, ("T1w", "pet"), False),
        ({"mode": "apply", "template_affine": "on"}, ("T1w", "pet"), True),
        ({"mode": "preprocess"}, ("T1w", "pet"), True),
        ({"mode": "preprocess", "template_affine": "off"}, ("T1w", "pet", "interictal"), False),
    ],
)
def test_requested_templates__on_demand(make_options: Any, values: Any, roles: Any, registered: bool) -> None:
    expected = {BUILT_IN_TEMPLATE: BUILT_IN_TEMPLATE} if registered else {}
    assert requested_templates(make_options(**values), roles) == expected


def test_requested_templates__an_output_space_always_is(make_options: Any) -> None:
    settings = make_options(output_spaces=("T1w", "MNI152NLin6Sym"), template_affine="off", mode="apply")
    assert list(requested_templates(settings, ("T1w",))) == ["MNI152NLin6Sym"]


def test_case_parts__without_the_affine(make_case: Any, make_options: Any) -> None:
    case = make_case("01")
    names = [[part.name for part in case_parts(case, make_options(template_affine=how))] for how in ("on", "off")]
    assert names == [["transforms", f"to-{BUILT_IN_TEMPLATE}", "space-T1w"], ["transforms", "space-T1w"]]
    assert templates_of([case], make_options(template_affine="off")) == ()


def test_preprocess__the_affine_is_left_out(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case = make_case("01")
    assert preprocess([case], make_options(template_affine="off"))[0].status == "ok"
    assert not [call for call in tiny.calls if call.startswith("register T1w")]
    assert not list((tmp_path / "out").rglob("*_to-MNI*"))
    # It can be made later, and nothing else is made again.
    before = len(tiny.calls)
    assert preprocess([case], make_options())[0].status == "ok"
    assert tiny.calls[before:] == ["register T1w 12 auto"]


def test_preprocess__a_session_without_spect_shares_its_t1w(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    case = make_case("01", ("T1w", "interictal"), session="a")
    bare = Case("01", "b", {"T1w": case.images["T1w"]})
    outcomes = preprocess([case, bare], make_options(mode="apply"))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    assert tiny.calls.count("register T1w 12 auto") == 1
    assert {path.parts[-3] for path in (tmp_path / "out").rglob("*_to-MNI*.txt")} == {"ses-a"}
