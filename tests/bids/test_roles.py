"""PET or SPECT, ictal or interictal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.roles import is_spect, spect_state

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
