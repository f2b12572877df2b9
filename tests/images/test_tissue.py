import numpy as np

from bids_spectsynth.images.tissue import TISSUES, class_means, tissue_classes


def test_class_means__of_three_classes() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(mean, 3, n) for mean, n in ((20, 500), (60, 2000), (100, 2000))])
    np.testing.assert_allclose(class_means(values), (20, 60, 100), atol=1.5)


def test_tissue_classes__by_brightness() -> None:
    values = np.array([10.0] * 20 + [50.0] * 50 + [90.0] * 40)
    classes = tissue_classes(values)
    assert [TISSUES[k] for k in classes[[0, 30, 100]]] == ["fluid", "grey", "white"]
