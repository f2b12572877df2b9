import numpy as np
import pytest

from bids_spectsynth.quality.limits import COHORT_RULES, RULES


def test_rules__names_are_plain_and_each_rule_is_there_once() -> None:
    names = [rule.name for rule in (*RULES, *COHORT_RULES)]
    assert len(names) == len(set(names))
    assert all(name.replace("-", "").isalpha() for name in names)
    assert all(rule.sentence.strip() for rule in (*RULES, *COHORT_RULES))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule__one_side_is_doubtful(rule) -> None:
    beyond = -1 if rule.side == "low" else 1
    assert rule.broken_by(rule.limit + beyond)
    assert not rule.broken_by(rule.limit - beyond)
    assert not rule.broken_by(np.nan)


@pytest.mark.parametrize("rule", COHORT_RULES, ids=lambda rule: rule.name)
def test_cohort_rule__sides_and_transform(rule) -> None:
    assert rule.broken_by(-rule.z - 1) == (rule.side != "high")
    assert rule.broken_by(rule.z + 1) == (rule.side != "low")
    assert not rule.broken_by(0.0)
    values = [rule.transform(value) for value in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert np.isfinite(values).all()
    assert values == sorted(values)
