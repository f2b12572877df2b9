"""The table of roles; PET or SPECT, ictal or interictal."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.finding.filters import BASE_FILTERS
from bids_spectsynth.bids.roles import (
    ROLES,
    Role,
    ictal_name,
    ictal_names,
    is_ictal,
    is_spect,
    reading_order,
    role_of,
    spect_state,
)
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.evaluation.group.configurations import input_name

STATE = st.sampled_from(["ictal", "interictal", "Ictal01", "interIctal2", "postictal"])
NEUTRAL = st.sampled_from(["rest", "01", "nuc"])


def expected(label: str) -> str:
    return "interictal" if "interictal" in label.lower() else "ictal"


@given(task=STATE | NEUTRAL | st.none(), session=STATE | NEUTRAL | st.none(), acq=STATE | NEUTRAL | st.none())
def test_task_goes_before_session_before_acq(task: str | None, session: str | None, acq: str | None) -> None:
    labels = {"task": task, "ses": session, "acq": acq}
    entities = {key: value for key, value in labels.items() if value is not None}
    deciding = [(key, value) for key, value in entities.items() if "ictal" in value.lower()]
    state, reason = spect_state(entities)
    if deciding:
        key, value = deciding[0]
        assert state == expected(value)
        assert f"{key}-{value}" in reason
    else:
        assert state == "interictal"


@pytest.mark.parametrize(
    ("datatype", "trc", "nuclide", "spect"),
    [
        ("spect", "FDG", "F18", True),
        ("pet", "FDG", "F18", False),
        ("pet", "FDG", None, False),
        ("pet", None, None, False),
        ("pet", "HMPAO", None, True),
        ("pet", "99mTcECD", None, True),
        ("pet", "bicisate", None, True),
        ("pet", "123IIMP", None, True),
        ("pet", "imparfait", None, False),
        ("pet", "x", "Tc99m", True),
        ("pet", "x", "99m-Tc", True),
        ("pet", None, "I123", True),
        ("pet", "HMPAO", "F18", False),
    ],
)
def test_kind_of_image(datatype: str, trc: str | None, nuclide: str | None, spect: bool) -> None:
    entities = {"trc": trc} if trc else {}
    metadata = {"TracerRadionuclide": nuclide} if nuclide else {}
    assert is_spect(datatype, entities, metadata) is spect


NAMES = st.lists(st.sampled_from([*ROLES, "T2w", "FLAIR", "PDw"]), unique=True)


@given(NAMES)
def test_reading_order__the_tables_then_the_rest_as_they_come(names: list[str]) -> None:
    ordered = reading_order(names)
    known = [name for name in ROLES if name in names]
    assert ordered == known + [name for name in names if name not in ROLES]


def test_role_of__a_name_that_the_table_lacks_is_another_mr_image() -> None:
    role = role_of("FLAIR")
    assert (role.datatype, role.suffix, role.title, role.mask, role.is_input) == ("anat", "FLAIR", "FLAIR", "T1w", True)
    assert not role.is_nuclear
    assert role.kept_entities == ()


@given(st.integers(1, 500))
def test_ictal_name__every_scan_has_the_ictal_role_and_a_title_of_its_own(number: int) -> None:
    role = role_of(ictal_name(number))
    assert is_ictal(ictal_name(number))
    assert (role.datatype, role.suffix, role.task, role.mask, role.is_input) == (
        "spect",
        "spect",
        "ictal",
        "own",
        False,
    )
    assert role.title == "Ictal SPECT" + (f" {number}" if number > 1 else "")
    assert role.name == ictal_name(number)


@pytest.mark.parametrize("name", ["interictal", "ictal1", "ictal0", "ictal02", "ictal2a", "postictal", "Ictal", "T2w"])
def test_is_ictal__names_of_other_images(name: str) -> None:
    assert not is_ictal(name)
    assert ictal_names([name]) == []


def test_reading_order__ictal_scans_by_number_before_what_the_table_lacks() -> None:
    names = ["FLAIR", "ictal10", "interictal", "ictal2", "ictal", "T1w"]
    assert reading_order(names) == ["T1w", "interictal", "ictal", "ictal2", "ictal10", "FLAIR"]


def test_roles__spect_is_never_an_input_and_always_has_a_task_and_a_mask() -> None:
    spect = [role for role in ROLES.values() if role.suffix == "spect"]
    assert [(role.task, role.mask, role.is_input) for role in spect] == [
        ("interictal", "own", False),
        ("ictal", "own", False),
    ]
    assert BASE_FILTERS == ("t1w", "pet", "spect", "interictal", "ictal")


def test_roles__one_entry_names_a_role_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Role("FLAIR", "anat", ("FLAIR",), "Fluid-attenuated MRI", "fluid-attenuated MRI")
    monkeypatch.setitem(ROLES, "FLAIR", entry)  # type: ignore[arg-type]
    assert Transform(Path("x"), "sub-01", "FLAIR", "T1w").title == "Fluid-attenuated MRI to T1w"
    assert input_name("T1w+FLAIR") == "MRI & Fluid-attenuated MRI"
    assert reading_order(["T2w", "FLAIR", "pet"]) == ["pet", "FLAIR", "T2w"]
