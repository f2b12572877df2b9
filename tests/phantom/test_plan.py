import numpy as np
import pytest

from bids_spectsynth.phantom.plan import CAMERA_CHANGE, SubjectPlan
from bids_spectsynth.phantom.scanner import SPECT_CAMERA


def study(index, seed=3, ictal="study"):
    return SubjectPlan(index, "small", seed, "individual", ictal)


def test_generators__streams_are_those_of_the_first_release_with_and_without_a_study():
    expected = [np.random.default_rng(s).random() for s in np.random.SeedSequence([3, 4]).spawn(7)]
    assert [rng.random() for rng in SubjectPlan(4, "small", 3).generators()] == expected
    assert [rng.random() for rng in study(4).generators()] == expected
    assert study(4).study_generator(0).random() not in expected


def test_seizure__none_outside_a_study_and_the_same_each_time_in_it():
    assert SubjectPlan(0, "small", 3).seizure() is None
    assert study(0).seizure() == study(0).seizure() != study(1).seizure()
    assert study(0, ictal="widespread").seizure().share == pytest.approx(0.2)


def test_ictal_camera__half_of_the_subjects_have_another_resolution():
    cameras = [study(index).ictal_camera() for index in range(40)]
    assert [camera == SPECT_CAMERA for camera in cameras] == [True, False] * 20
    for part in ("fwhm", "filter_fwhm"):
        changes = [getattr(camera, part) - getattr(SPECT_CAMERA, part) for camera in cameras]
        changed = np.array([change for change in changes if change])
        assert len(changed) == 10
        assert (np.abs(changed) >= CAMERA_CHANGE[0]).all()
        assert (np.abs(changed) <= CAMERA_CHANGE[1]).all()
        assert {-1.0, 1.0} == set(np.sign(changed))


def test_study__no_cavity_and_no_ordinary_ictal_scan():
    assert not any(study(index).cavity or study(index).ictal for index in range(8))
