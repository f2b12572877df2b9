import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.synthesis.baselines.quadratic import feature_names, quadratic_features


@given(st.integers(1, 4))
def test_features_are_named(n: int) -> None:
    roles = ("T1w", "T2w", "FLAIR", "pet")[:n]
    values = dict(zip(roles, np.random.default_rng(n).normal(size=(n, 5)), strict=True))
    names = feature_names(roles)
    features = quadratic_features(np.stack(list(values.values())))
    assert len(names) == len(features) == 1 + n + n * (n + 1) // 2
    for name, feature in zip(names[1:], features[1:], strict=True):
        np.testing.assert_allclose(feature, np.prod([values[part] for part in name.split("*")], axis=0))
    assert (features[0] == 1).all()
