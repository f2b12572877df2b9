import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from bids_spectsynth.quality.judge import LEAST_OTHERS, Flag, common_rules, flagged_names, judge
from bids_spectsynth.quality.limits import COHORT_RULES, RULES, Rule
from tests.quality.conftest import Head, blur

Cohort = Callable[..., dict[str, Mapping[str, float]]]


def focus(head: Head) -> np.ndarray:
    """The SPECT with a fifth more and then some in a ball on one side."""
    x, y, z = np.indices(head.spect.shape)
    ball = (x - 31) ** 2 + (y - 30) ** 2 + (z - 24) ** 2 < 3.5**2
    return head.spect * (1 + 0.9 * blur(ball.astype(float), 8))


WRONG: dict[str, Callable[[Head, Head], dict[str, np.ndarray]]] = {
    "spect-foreign": lambda own, other: {"interictal": other.spect},
    "pet-foreign": lambda own, other: {"pet": other.pet},
    "ictal": lambda own, other: {"interictal": focus(own)},
    "copy": lambda own, other: {"pet": own.spect},
    "spect-sharp": lambda own, other: {"interictal": own.pet},
    "exchanged": lambda own, other: {"interictal": own.pet, "pet": own.spect},
    "pet-flat": lambda own, other: {"pet": 100 + 0 * own.pet + np.random.default_rng(0).normal(0, 1, own.pet.shape)},
    "pet-blurred": lambda own, other: {"pet": blur(own.pet, 6 * 3**0.5)},
    "spect-blurred": lambda own, other: {"interictal": blur(own.spect, 10 * 3**0.5)},
    "spect-clipped": lambda own, other: {"interictal": np.minimum(own.spect, 0.3 * own.spect.max())},
}


def test_judge__good_heads_have_no_flags(cohort: Cohort) -> None:
    assert judge(cohort()) == {f"sub-{n}": () for n in range(7)}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("size", [1, 7])
def test_judge__wrong_image_is_flagged_alone_and_among_others(
    heads: list[Head], cohort: Cohort, name: str, size: int
) -> None:
    found = cohort(**WRONG[name](heads[0], heads[1]))
    flags = judge(dict(list(found.items())[:size]))
    assert name in {flag.name for flag in flags["sub-0"]}
    assert all(not flags[label] for label in list(found)[1:size])


def test_judge__value_threshold_and_numbers_in_the_sentence() -> None:
    (flag,) = judge({"sub-1": {"pet.spread": 0.02}})["sub-1"]
    assert (flag.name, flag.value, flag.threshold) == ("pet-flat", 0.02, 0.12)
    assert flag.sentence.endswith("(pet.spread 0.02, below 0.12)")
    assert "\n" not in flag.sentence


def test_judge__registration_that_is_not_trusted() -> None:
    flags = judge({"sub-1": {"interictal.poor": 1.0, "pet.poor": 0.0}, "sub-2": {}})
    assert [flag.name for flag in flags["sub-1"]] == ["spect-poor-registration"]
    assert flags["sub-2"] == ()


@pytest.mark.parametrize("n", [LEAST_OTHERS, LEAST_OTHERS + 1])
def test_judge__score_of_another_head_needs_enough_others(n: int) -> None:
    scores = [0.85, *np.linspace(0.975, 0.98, n - 1)]
    flags = judge({f"sub-{k}": {"pet.score": score} for k, score in enumerate(scores)})
    assert bool(flags["sub-0"]) == (n > LEAST_OTHERS)
    assert not any(flags[f"sub-{k}"] for k in range(1, n))
    if flags["sub-0"]:
        assert flags["sub-0"][0].name == "pet-registration"
        assert "the median of 5 is 0.97" in flags["sub-0"][0].sentence


def test_judge__cohort_that_agrees_too_well_makes_no_flags() -> None:
    scores = [0.976, 0.978, 0.978, 0.978, 0.978, 0.978]
    assert not any(judge({str(n): {"pet.score": score} for n, score in enumerate(scores)}).values())


def test_judge__what_is_not_known_breaks_nothing() -> None:
    unknown = {rule.measure: math.nan for rule in (*RULES, *COHORT_RULES)}
    assert not any(judge({str(n): unknown for n in range(9)}).values())


def test_flagged_names__each_once() -> None:
    flags = [Flag(name, 1, 2, "") for name in ("b", "a", "b")]
    assert flagged_names(flags) == "b, a"
    assert flagged_names([]) == "n/a"


@pytest.mark.parametrize(("broken", "n", "flagged"), [(1, 1, 1), (2, 2, 2), (1, 3, 1), (2, 3, 0), (3, 9, 3), (4, 9, 0)])
def test_judge__limit_that_many_break_is_what_the_cohort_is_like(broken: int, n: int, flagged: int) -> None:
    measures = {f"sub-{k}": {"interictal.fwhm": 7.0 if k < broken else 9.0, "pet.fwhm": 5.0} for k in range(n)}
    names = [flag.name for flags in judge(measures).values() for flag in flags]
    assert names.count("spect-sharp") == flagged
    assert common_rules(measures) == ({} if flagged else {"spect-sharp": (broken, n)})


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.of_camera], ids=lambda rule: rule.name)
def test_judge__what_no_camera_makes_is_flagged_in_any_number(rule: Rule) -> None:
    beyond = rule.limit + (-0.1 if rule.side == "low" else 0.1)
    measures = {f"sub-{k}": {rule.measure: beyond} for k in range(9)}
    assert all(rule.name in {flag.name for flag in flags} for flags in judge(measures).values())
    assert common_rules(measures) == {}


def test_judge__roles_that_no_network_needs_are_no_matter() -> None:
    assert judge({"sub-1": {"T2w.poor": 1.0, "T1w.poor": 1.0}}) == {"sub-1": ()}
