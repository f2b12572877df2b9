"""Options of which models a run trains or applies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.roles import ROLES
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.coerce import coerce
from bids_spectsynth.options.declarations.model import ModelOptions, input_order
from bids_spectsynth.options.declare import declared

NAMES = st.lists(st.sampled_from([*ROLES, "T2w", "FLAIR", "PDw"]), unique=True)


@given(NAMES)
def test_input_order__t1w_first_pet_last(names: list[str]) -> None:
    ordered = input_order(names)
    assert sorted(ordered) == sorted(names)
    assert "T1w" not in names or ordered[0] == "T1w"
    assert "pet" not in names or ordered[-1] == "pet"
    assert input_order(reversed(names)) == ordered


@pytest.mark.parametrize("role", ROLES.values(), ids=list(ROLES))
def test_inputs__are_the_roles_that_may_be_one_in_any_case(role) -> None:
    inputs = declared(ModelOptions)["inputs"]
    for spelling in (role.name, role.name.lower(), role.name.upper()):
        if role.is_input:
            assert coerce(inputs, [[spelling]]) == ((role.name,),)
        else:
            with pytest.raises(UsageError, match="not an input"):
                coerce(inputs, [[spelling]])
