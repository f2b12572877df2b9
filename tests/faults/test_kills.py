"""A run that is killed or stopped at random moments, and started again, ends with what an uninterrupted run leaves."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import App
from tests.faults.program import (
    SHELL,
    Ended,
    Reference,
    contents,
    half_written,
    reference,
    start,
    temporary_files,
    untouched,
)
from tests.faults.watching import noted, signal_at_event

MOMENTS = 20
LEVELS = ("participant", "group")
#: Seconds in which a run ends that was asked to; a machine that others use is given as many of the processor.
LONGEST = 10


def check_left(app: App, moment: str) -> None:
    """What a run leaves on disk that did not come to its end."""
    assert half_written(app.output_dir) == [], moment


def check_stopped(ended: Ended, number: int) -> None:
    assert ended.code == SHELL + number, ended.err
    assert "Traceback" not in ended.err
    assert ended.cpu_after < LONGEST


def test_apply__killed_when_an_image_gets_its_name_goes_on(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    options = ("--mode", "apply", "--participant-label", "04")
    for name in app.files("sub-04/spect/*pix2pixT1wPet_*"):
        (app.output_dir / name).unlink()
    ended = start(app, *options, prepare=signal_at_event(20, signal.SIGKILL)).wait()
    assert ended.code == SHELL + signal.SIGKILL, ended.err
    check_left(app, "killed")
    assert start(app, *options).wait().code == 0
    assert temporary_files(app.output_dir) == []
    spect = {name: digest for name, digest in contents(finished.output_dir).items() if "/spect/" in name}
    assert {name: digest for name, digest in contents(app.output_dir).items() if "/spect/" in name} == spect


def test_apply__stopped_ends_with_the_code_of_its_signal(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    ended = start(
        app, "--mode", "apply", "--participant-label", "04", prepare=signal_at_event(12, signal.SIGTERM)
    ).wait()
    check_stopped(ended, signal.SIGTERM)
    assert ended.err.splitlines()[-1] == "bids_spectsynth: stopped by SIGTERM; start again to go on from here"
    check_left(app, "stopped")
    assert temporary_files(app.output_dir) == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.getbasetemp())


def interrupted(
    whole: Reference, level: str, folder: Path, run: Callable[[App, tuple[str, ...]], Ended]
) -> tuple[list[Ended], int]:
    """Runs that are interrupted again and again, in as many output folders as it takes; each is brought to its end.

    Returns how the interrupted ones ended, and how many folders were compared.
    """
    ends: list[Ended] = []
    compared, options = 0, whole.options_of(level)
    while len(ends) < MOMENTS:
        folder.mkdir(exist_ok=True)
        own = folder / f"{compared}"
        own.mkdir()
        app = whole.again(own, level)
        ended = run(app, options)
        while ended.code != 0 and len(ends) < MOMENTS:
            ends.append(ended)
            check_left(app, f"{level}, moment {len(ends)}, said {ended.err[-300:]}")
            if len(ends) < MOMENTS:
                ended = run(app, options)
        last = start(app, *options, level=level).wait()
        assert last.code == 0, last.err
        assert temporary_files(app.output_dir) == []
        found, wanted = contents(app.output_dir), whole.of(level)
        assert {name for name in found | wanted if found.get(name) != wanted.get(name)} == set()
        assert untouched(app.bids_dir) == whole.data
        compared += 1
    return ends, compared


@pytest.mark.faults
@pytest.mark.parametrize("level", LEVELS)
def test_killed__at_random_moments_and_started_again_is_equal_to_an_uninterrupted_run(
    uninterrupted: Reference, tmp_path: Path, level: str, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(f"kill {level}")
    mean = max(1, len(noted(uninterrupted.notes[level])) // MOMENTS)

    def run(app: App, options: tuple[str, ...]) -> Ended:
        event = rng.randint(1, 2 * mean)
        return start(app, *options, level=level, prepare=signal_at_event(event, signal.SIGKILL)).wait()

    ends, compared = interrupted(uninterrupted, level, tmp_path / "runs", run)
    assert {ended.code for ended in ends} == {SHELL + signal.SIGKILL}
    record_property("tried", f"{level} level: SIGKILL at {MOMENTS} random moments, each time started again")
    record_property("seen", f"no half-written file; {compared} of {compared} ends equal to an uninterrupted run")


@pytest.mark.faults
@pytest.mark.parametrize("level", LEVELS)
def test_stopped__at_random_moments_and_started_again_is_equal_to_an_uninterrupted_run(
    uninterrupted: Reference, tmp_path: Path, level: str, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(f"stop {level}")
    numbers: list[int] = []

    def run(app: App, options: tuple[str, ...]) -> Ended:
        # By processor time, so that a slow machine comes as far as a fast one.
        numbers.append(rng.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGINT)))
        cpu = uninterrupted.cpu[level] * rng.uniform(0.1, 2) / MOMENTS
        ended = start(app, *options, level=level).signal_at(numbers[-1], cpu)
        if ended.code != 0:
            check_stopped(ended, numbers[-1])
        return ended

    ends, compared = interrupted(uninterrupted, level, tmp_path / "runs", run)
    longest = max(ended.wall_after for ended in ends)
    used = max(ended.cpu_after for ended in ends)
    record_property("tried", f"{level} level: SIGTERM and SIGINT at {MOMENTS} random moments, each time started again")
    record_property(
        "seen",
        f"143 and 130 after {longest:.1f} s at most ({used:.1f} s of the processor); no half-written file; "
        f"{compared} of {compared} ends equal to an uninterrupted run",
    )
