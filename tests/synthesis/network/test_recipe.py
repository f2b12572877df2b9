import pytest

from bids_spectsynth.synthesis.network.recipe import Recipe, recipe_of


@pytest.mark.parametrize(
    ("neighbours", "prior", "channels"), [(0, False, 2), (1, False, 6), (0, True, 3), (2, True, 15)]
)
def test_number_of_channels(neighbours, prior, channels):
    recipe = Recipe(n_images=2, neighbours=neighbours, prior=prior)
    assert recipe.n_channels == channels


def test_the_recipe_of_an_older_card_adds_nothing():
    assert recipe_of({}, 2) == Recipe(n_images=2)


def test_recipe_from_a_configuration():
    config = {"neighbour_slices": 1, "cohort_prior": "residual", "flip_average": "on", "orientation": "coronal"}
    expected = Recipe(n_images=1, neighbours=1, prior=True, residual=True, flip=True, orientation="coronal")
    assert recipe_of(config, 1) == expected
    assert not recipe_of({"cohort_prior": "channel"}, 1).residual
