"""Console, run log and the logs of participants."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tqdm import tqdm

from bids_spectsynth.logs import LOGGER_NAME, ONCE, _show_libraries, console_logging, open_run_log, write_case_log
from bids_spectsynth.options.settings import Settings, make_settings, read_config, to_toml


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    yield
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    _show_libraries(False)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    values = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    return make_settings({**values, "epochs": 7})


@pytest.mark.parametrize(("verbose", "shown"), [(0, ["progress", "problem"]), (1, ["detail", "progress", "problem"])])
def test_the_console_shows_details_on_request(
    verbose: int, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    console_logging(verbose)
    logger = logging.getLogger(f"{LOGGER_NAME}.part")
    logger.debug("detail")
    logger.info("progress")
    logger.warning("problem")
    captured = capsys.readouterr()
    assert [line.split(" ", 2)[2] for line in captured.err.splitlines()] == shown
    assert captured.out == ""


def test_console_logging__libraries_are_heard_from_the_second_v_on(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose, shown in ((1, False), (2, True), (1, False)):
        console_logging(verbose)
        logging.getLogger("library.part").debug("a detail")
        logging.getLogger(f"{LOGGER_NAME}.part").debug("our own")
        lines = [line.split(" ", 2)[2] for line in capsys.readouterr().err.splitlines()]
        # Once each: the package's lines do not come by both ways.
        assert lines == [*(["library.part: a detail"] if shown else []), "our own"]


def test_a_second_run_in_one_process_says_things_once(capsys: pytest.CaptureFixture[str], settings: Settings) -> None:
    console_logging(0)
    first = open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    logger = console_logging(0)
    second = open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    logger.info("hello")
    assert capsys.readouterr().err.count("hello") == 1
    assert first != second
    assert "hello" not in (first / "run.log").read_text()
    assert "hello" in (second / "run.log").read_text()


def test_open_run_log__holds_what_was_said_before_there_was_a_folder(settings: Settings) -> None:
    logger = console_logging(0)
    logger.debug("said before")
    folder = open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    logger.debug("said after")
    lines = (folder / "run.log").read_text().splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == ["said before", "said after"]


def test_the_run_log_holds_details_and_the_settings(settings: Settings) -> None:
    logger = console_logging(0)
    folder = open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    logger.debug("a detail")
    assert "DEBUG bids_spectsynth: a detail" in (folder / "run.log").read_text()
    assert folder.parent == settings.output_dir / "logs"
    recorded = read_config(folder / "settings.toml")
    plain = {"bids_dir": settings.bids_dir, "output_dir": settings.output_dir, "analysis_level": "participant"}
    assert make_settings({**recorded, **plain}) == settings


def test_a_line_beside_a_bar_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    logger = console_logging(0)
    with tqdm(total=3, desc="model", file=screen, mininterval=0, ncols=60) as bar:
        bar.update(1)
        logger.info("epoch 1 of 3")
        bar.update(1)
    lines = screen.getvalue().split("\n")
    (line,) = (line for line in lines if "epoch 1 of 3" in line)
    # What stands on the screen in the end: the bar was wiped out before the line was written.
    assert line.split("\r")[-1].split(" ", 2)[2] == "epoch 1 of 3"
    assert "model" in lines[-2]


def test_the_console_says_once_what_is_marked_so(capsys: pytest.CaptureFixture[str], settings: Settings) -> None:
    logger = console_logging(0)
    folder = open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    for _ in range(3):
        logger.info("Network on %s", "the CPU", extra=ONCE)
        logger.info("again")
    shown = capsys.readouterr().err
    assert (shown.count("Network on the CPU"), shown.count("again")) == (1, 3)
    assert (folder / "run.log").read_text().count("Network on the CPU") == 3
    # The next run says it again.
    console_logging(0).info("Network on %s", "the CPU", extra=ONCE)
    assert capsys.readouterr().err.count("Network on the CPU") == 1


def test_lines_are_added_to_the_log_of_a_participant(tmp_path: Path) -> None:
    write_case_log(tmp_path, "sub-01_ses-a", ["T1w: one"])
    write_case_log(tmp_path, "sub-01_ses-a", ["failed: ünd"])
    lines = (tmp_path / "sub-01_ses-a.log").read_text(encoding="utf-8").splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["T1w: one", "failed: ünd"]


def test_all_logs__obey_no_control_characters(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    logger = console_logging(0)
    folder = open_run_log(settings.output_dir, "participant", "", lambda line: line.replace("/home/jdoe", "~"))
    logger.warning("%s: \x1b[2Jdamaged \ud800", "/home/jdoe/x")
    write_case_log(folder, "sub-01", ["failed \x1b[2J"])
    said = ": \\x1b[2Jdamaged \\ud800"
    assert f"/home/jdoe/x{said}" in capsys.readouterr().err
    assert f"~/x{said}" in (folder / "run.log").read_text()
    assert "failed \\x1b[2J" in (folder / "sub-01.log").read_text()
