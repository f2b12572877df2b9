import numpy as np
import pytest

from bids_spectsynth.phantom.anatomy import BRAIN_SIZE, Anatomy, Person, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.head import extracranial_uptake, t1w_signal
from bids_spectsynth.phantom.uptake import draw_foci, individual_variation, regional_gain, resect, uptake_map

RESOLUTION = 3.0


def build(seed: int, person: Person) -> Anatomy:
    return make_anatomy(np.random.default_rng(seed), load_atlas(), person, RESOLUTION)


def uptake_maps(rng, anatomy, foci, modalities):
    variation, extracranial = individual_variation(rng, anatomy), extracranial_uptake(anatomy)
    return {m: uptake_map(rng, anatomy, foci, m, variation[m], extracranial) for m in modalities}


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return build(0, Person(40, "F"))


@pytest.mark.parametrize("seed", range(4))
def test_deformation_never_folds(seed):
    individual = build(seed, Person(20 + 10 * seed, "FM"[seed % 2]))
    lowest, highest = individual.jacobian_range
    assert 0 < lowest < 1 < highest


def test_brain_has_a_human_size_and_consistent_tissues(anatomy):
    voxel = abs(np.linalg.det(anatomy.affine[:3, :3]))
    assert 1.1e6 < anatomy.brain.sum() * voxel < 2.0e6
    assert anatomy.grey.sum() > anatomy.white.sum() > anatomy.fluid.sum() > 0
    for volume in (anatomy.grey, anatomy.white, anatomy.fluid, anatomy.brain):
        assert volume.min() >= 0
        assert volume.max() <= 1
    mask = anatomy.brain > 0.9
    total = (anatomy.grey + anatomy.white + anatomy.fluid)[mask]
    assert np.abs(total - 1).mean() < 0.05


def test_narrow_slab_limits_the_width():
    person = Person(30, "M", widest=128.0)
    individual = build(1, person)
    occupied = np.flatnonzero((individual.brain > 0.5).any(axis=(1, 2)))
    width = individual.affine[0, 0] * (occupied[-1] - occupied[0] + 1)
    assert width == pytest.approx(128.0, abs=1e-6)
    assert width < BRAIN_SIZE[0][0]


def test_individuals_differ_and_repeat(anatomy):
    assert np.array_equal(build(0, Person(40, "F")).grey, anatomy.grey)
    assert np.mean(np.abs(build(5, Person(40, "F")).grey - anatomy.grey)) > 0.01


def test_age_widens_fluid_spaces():
    young, old = build(2, Person(20, "F")), build(2, Person(60, "F"))
    assert old.fluid.sum() / old.brain.sum() > 1.2 * young.fluid.sum() / young.brain.sum()


def test_head_position_finds_the_template_point(anatomy):
    # The thalamus of the template is deep: no fluid, well inside the hull.
    position = anatomy.head_position(np.array([12.0, -18.0, 8.0]))
    index = np.round(np.linalg.solve(anatomy.affine, [*position, 1.0])[:3]).astype(int)
    assert anatomy.brain[tuple(index)] == pytest.approx(1.0)
    assert anatomy.shell[tuple(index)] < -20
    assert position[0] > 0


def test_t1w_has_bright_scalp_dark_skull_and_tissue_order(anatomy):
    signal = t1w_signal(np.random.default_rng(0), anatomy)
    mean = {name: signal[getattr(anatomy, name) > 0.9].mean() for name in ("grey", "white", "fluid")}
    assert mean["white"] > 1.2 * mean["grey"] > 1.2 * 1.5 * mean["fluid"]
    upper = np.zeros(signal.shape, bool)
    upper[:, :, int(signal.shape[2] * 0.7) :] = True
    # At 3 mm partial volume with diploe lifts the skull; the ordering is what matters.
    skull = signal[upper & (anatomy.shell > 3) & (anatomy.shell < 7)].mean()
    scalp = signal[upper & (anatomy.shell > 9.5) & (anatomy.shell < 12)].mean()
    assert skull < 0.5 * scalp
    assert signal[upper & (anatomy.shell > 30)].max() == 0
    assert signal[0].max() == signal[-1].max() == signal[:, :, -1].max() == 0


def test_deficit_and_hot_focus_are_in_the_uptake(anatomy):
    foci = draw_foci(np.random.default_rng(4), anatomy, cavity=False, ictal=True)
    deficit, hot = foci[0], foci[1]
    assert deficit.kind == "hypo"
    assert hot.kind == "hyper"
    assert 10 <= deficit.radius <= 20
    assert 0.15 <= -deficit.change["pet"] <= 0.35
    modalities = ("pet", "interictal", "ictal")
    with_foci = uptake_maps(np.random.default_rng(1), anatomy, foci, modalities)
    without = uptake_maps(np.random.default_rng(1), anatomy, (), modalities)
    for modality, focus in (("pet", deficit), ("interictal", deficit), ("ictal", hot)):
        core = (focus.weight(anatomy) > 0.95) & (anatomy.grey > 0.3)
        far = (anatomy.squared_distance(focus.centre) > 80**2) & (anatomy.grey > 0.3)
        change = with_foci[modality][core] / without[modality][core] - 1
        assert change.mean() == pytest.approx(focus.change[modality], abs=0.06)
        np.testing.assert_allclose(with_foci[modality][far], without[modality][far], rtol=0.02)


def test_cavity_is_fluid_without_uptake(anatomy):
    foci = draw_foci(np.random.default_rng(4), anatomy, cavity=True, ictal=False)
    cavity = next(focus for focus in foci if focus.kind == "cavity")
    resected = resect(anatomy, foci)
    core = (cavity.weight(anatomy) > 0.99) & (anatomy.brain > 0.9)
    assert core.any()
    assert resected.fluid[core].min() > 0.85
    assert np.array_equal(resected.brain, anatomy.brain)
    uptake = uptake_maps(np.random.default_rng(0), resected, foci, ("pet", "interictal"))
    for values in uptake.values():
        assert values[core].max() < 0.1
        assert values[resected.grey > 0.9].mean() == pytest.approx(1.0, abs=0.2)
        assert values[resected.white > 0.95].mean() < 0.5


def test_tracers_share_part_of_the_regional_pattern(anatomy):
    inside = np.sum((anatomy.atlas_nodes - np.array([0, -20, 5]).reshape(3, 1, 1, 1)) ** 2, axis=0) < 60**2
    fdg, hmpao = regional_gain(anatomy, "fdg")[inside], regional_gain(anatomy, "hmpao")[inside]
    correlation = np.corrcoef(fdg, hmpao)[0, 1]
    assert 0.2 < correlation < 0.95
