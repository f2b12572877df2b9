import numpy as np

from bids_spectsynth.siscom.baselines.tissue import white_matter


def test_white_matter__share_between_the_means() -> None:
    t1w = np.repeat(np.float32([20, 60, 80, 100, 110]), [10, 40, 1, 40, 1]).reshape(1, 4, 23)
    mask = np.ones(t1w.shape, dtype=bool)
    mask[0, 0, 0] = False
    share = white_matter(t1w, mask)
    np.testing.assert_allclose(share[t1w == 60], 0, atol=0.02)
    np.testing.assert_allclose(share[t1w == 80], 0.5, atol=0.02)
    np.testing.assert_allclose(share[t1w == 110], 1, atol=0.02)
    assert share[0, 0, 0] == 0
    np.testing.assert_allclose(white_matter(7 * t1w, mask), share, atol=1e-5)


def test_white_matter__none_in_a_constant_image() -> None:
    mask = np.ones((3, 3, 3), dtype=bool)
    assert not white_matter(np.full(mask.shape, 5, np.float32), mask).any()
