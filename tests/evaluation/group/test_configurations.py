import itertools
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.evaluation.group.configurations import (
    Configuration,
    comparison_groups,
    configurations,
    input_name,
    loss_name,
    pairs,
    paper_rows,
    seed_means,
)

INPUTS = st.sampled_from(("T1w", "pet", "T1w+pet", "T2w"))
SPACES = st.sampled_from(("T1w", "TplA", "TplB"))
LOSSES = st.sampled_from(("L1", "L1+BCE", "L1+BCE+SSIM", "L1+LSGAN"))
RECIPES = st.sampled_from(("fard2024", "best", "custom"))
SCALINGS = st.sampled_from(("slice", "volume"))
TRAININGS = st.sampled_from(("1", "2"))
MODELS = st.lists(st.tuples(INPUTS, SPACES, LOSSES, RECIPES, SCALINGS, TRAININGS), max_size=12)


def test_the_papers_study_has_six_six_and_twelve_pairs(study):
    found = configurations(study())
    assert len(found) == 12
    counts = [sum(len(list(pairs(g, kind))) for g in comparison_groups(found, kind)) for kind in ("space", "loss")]
    assert counts == [6, 6]
    assert sum(len(list(pairs(g, "inputs"))) for g in comparison_groups(found, "inputs")) == 12


@settings(max_examples=60, deadline=None)
@given(MODELS)
def test_pairs_differ_in_one_respect_alone_and_none_is_missed(models):
    found = [Configuration(f"m{n}", *fields) for n, fields in enumerate(models)]
    names = {"space": "space", "loss": "losses", "inputs": "inputs"}
    fields = ("inputs", "space", "losses", "recipe", "scaling", "training")
    for kind, name in names.items():
        got = {frozenset((a.name, b.name)) for g in comparison_groups(found, kind) for a, b in pairs(g, kind)}
        expected = {
            frozenset((a.name, b.name))
            for a, b in itertools.combinations(found, 2)
            if [f for f in fields if getattr(a, f) != getattr(b, f)] == [name]
            and (kind != "space" or "T1w" in (a.space, b.space))
        }
        assert got == expected


def test_order_does_not_depend_on_the_order_of_rows(study):
    rows = study()
    shuffled = rows.sample(frac=1, random_state=3)
    ordered = configurations(shuffled)
    assert ordered == configurations(rows)
    assert [(c.space == "T1w", c.losses, c.inputs) for c in ordered[:4]] == [
        (True, "L1+BCE", "T1w"),
        (True, "L1+BCE", "pet"),
        (True, "L1+BCE", "T1w+pet"),
        (True, "L1+BCE+SSIM", "T1w"),
    ]


def test_the_papers_recipe_comes_before_others(model):
    rows = [
        model("best", "pet", "T1w", "L1", recipe="best", scaling="volume"),
        model("paper", "pet", "T1w", "L1+BCE+SSIM"),
        model("odd", "pet", "T1w", "L1+BCE", recipe="custom"),
    ]
    random.Random(0).shuffle(rows)
    assert [one.name for one in configurations(pd.concat(rows))] == ["paper", "best", "odd"]


@pytest.mark.parametrize("inputs", ["T1w", "pet", "T1w+pet", "T1w+T2w"])
def test_names_of_inputs_tell_them_apart(inputs):
    others = {"T1w", "pet", "T1w+pet", "T1w+T2w"} - {inputs}
    assert input_name(inputs) not in {input_name(other) for other in others}
    assert input_name("T1w") == "MRI"


def test_names_of_losses():
    assert loss_name("L1+BCE") == "1-norm + cross-entropy"
    assert loss_name("L1+LSGAN+SSIM", short=True) == "L1 + LSGAN + SSIM"
    assert loss_name("n/a") == "n/a"
    assert loss_name("L1(1e+06)+BCE(0.1)+SSIM") == "1-norm (1e+06) + cross-entropy (0.1) + SSIM"


def test_only_held_out_networks_on_slice_scale_in_the_block_count(model):
    rows = pd.concat([model("m", "pet", "T1w", "L1+BCE"), model("t", "pet", "T1w", "L1+BCE", split="train")])
    kept = paper_rows(rows)
    assert set(kept["model"]) == {"m"}
    assert set(kept["method"]) == {"pix2pix"}
    assert kept["rmse"].max() < 1
    assert len(kept) == 3 * 5


def test_seeds_are_averaged_slice_by_slice(model):
    one, two = (paper_rows(model("m", "pet", "T1w", "L1+BCE", seed=seed)) for seed in (1, 2))
    means = seed_means(pd.concat([one, two]))
    assert len(means) == len(one)
    expected = (one["rmse"].to_numpy() + two["rmse"].to_numpy()) / 2
    np.testing.assert_allclose(means["rmse"], expected)
