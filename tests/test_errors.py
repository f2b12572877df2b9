import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.errors import (
    MEMORY_ADVICE,
    DatasetError,
    ExitCode,
    ImageError,
    ModelError,
    Outcome,
    SpectSynthError,
    UsageError,
    error_code,
    exit_code,
    is_out_of_memory,
    printable,
    reason_of,
    size_text,
    value_text,
)
from bids_spectsynth.options.settings import make_settings

_outcomes = st.lists(
    st.builds(
        Outcome,
        participant=st.sampled_from(["01", "02", "03"]),
        session=st.sampled_from([None, "a"]),
        stage=st.sampled_from(["find", "preprocess", "synthesise"]),
        status=st.sampled_from(["ok", "skipped", "failed"]),
    ),
    max_size=8,
)


def _outcome(participant: str, status: str, stage: str = "preprocess") -> Outcome:
    return Outcome(participant, None, stage, status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], ExitCode.NOBODY_LEFT),
        ([_outcome("01", "ok")], ExitCode.OK),
        ([_outcome("01", "ok"), _outcome("02", "skipped")], ExitCode.OK),
        ([_outcome("01", "ok"), _outcome("02", "failed")], ExitCode.SOME_FAILED),
        ([_outcome("01", "skipped"), _outcome("02", "skipped")], ExitCode.NOBODY_LEFT),
        ([_outcome("01", "failed"), _outcome("02", "skipped")], ExitCode.NOBODY_LEFT),
        ([_outcome("01", "ok"), _outcome("01", "failed", "synthesise")], ExitCode.NOBODY_LEFT),
    ],
    ids=["nothing", "all ok", "one skipped", "one failed", "all skipped", "none ok", "failed later"],
)
def test_code_of_a_run(outcomes: list[Outcome], expected: ExitCode) -> None:
    assert exit_code(outcomes) is expected


@given(_outcomes, st.randoms(use_true_random=False))
def test_the_order_of_outcomes_does_not_matter(outcomes: list[Outcome], shuffler: random.Random) -> None:
    mixed = list(outcomes)
    shuffler.shuffle(mixed)
    assert exit_code(mixed) is exit_code(outcomes)


@given(_outcomes)
def test_a_failure_is_never_success(outcomes: list[Outcome]) -> None:
    failed = any(outcome.status == "failed" for outcome in outcomes)
    served = any(outcome.status == "ok" for outcome in outcomes)
    assert (exit_code(outcomes) is ExitCode.OK) == (served and not failed)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UsageError("x"), 2),
        (DatasetError("x"), 3),
        (ModelError("x"), 5),
        (ImageError("x"), 1),
        (SpectSynthError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_code_of_an_error(error: SpectSynthError, expected: int) -> None:
    assert int(error_code(error)) == expected


def test_codes_are_those_that_the_documentation_and_shells_know() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "SOME_FAILED": 1,
        "USAGE": 2,
        "DATASET": 3,
        "NOBODY_LEFT": 4,
        "MODEL": 5,
        "INTERNAL": 70,
        "INTERRUPTED": 130,
        "RESUBMIT": 138,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("lots", "'lots'"),
        (["edge"], "edge"),
        (("T1", "pet"), "T1 pet"),
        ([["T1", "pet"], ["T2"]], "T1 pet, T2"),
        ((("nmi", 2.0), ("edge", 0.5)), "nmi 2.0, edge 0.5"),
        (["a b", ""], "'a b' ''"),
        ([], "an empty list"),
        (None, "none"),
        ([True, None], "true none"),
        ({"a": [1, 2]}, "a: 1 2"),
        (Path("/data/x"), "/data/x"),
        (3, "3"),
    ],
    ids=repr,
)
def test_value_text__no_brackets(value: object, text: str) -> None:
    assert value_text(value) == text


def test_size_text__voxels_by_axis() -> None:
    assert size_text((256, 256, 192)) == "256 x 256 x 192"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inputs": [["T1", "pet"]]}, "--inputs: T1 pet is not usable (T1 is no suffix of BIDS"),
        ({"inputs": [["T1w"], ["spect"]]}, "--inputs: T1w, spect is not usable"),
        ({"loss": ["edge"]}, "--loss: edge is not usable (NAME=WEIGHT needed"),
        ({"loss": 3}, "--loss: 3 is not usable (NAME=WEIGHT needed"),
        ({"augmentation": ["rotate"]}, "--augmentation: rotate is not usable (rotate: choose from none,"),
        ({"equivalence_margins": ["rmse"]}, "--equivalence-margins: rmse is not usable"),
        ({"split_counts": [1, 2]}, "--split-counts: 1 2 is not usable (3 numbers needed)"),
        ({"epochs": [3]}, "--epochs: 3 is not usable (another kind of value needed)"),
    ],
)
def test_messages__of_values_in_lists_are_plain_text(values: dict[str, object], message: str) -> None:
    required = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
    with pytest.raises(UsageError) as error:
        make_settings({**required, **values})
    assert str(error.value).startswith(message)
    assert not set('[]{}"') & set(str(error.value))


@given(text=st.text(st.characters(codec=None)))
def test_printable__what_a_terminal_obeys_is_spelled_out(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not set(shown) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\t", "\n"}
    assert printable(shown) == shown


def test_printable__other_text_stays() -> None:
    text = "Zoë's SPECT:\t20 µCi,\u202f5 mm\nnext line"
    assert printable(text) == text
    assert printable("a\x1b]0;b\x07\ud800") == "a\\x1b]0;b\\x07\\ud800"


def test_reason_of__lack_of_memory_in_a_library_of_c() -> None:
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert reason_of(RuntimeError("std::bad_alloc")) == f"out of memory; {MEMORY_ADVICE} (std::bad_alloc)"


def test_reason_of__lack_of_memory_in_a_saved_network_is_one_line_without_its_traceback() -> None:
    error = RuntimeError(
        "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call "
        'last):\n  File "/home/x/conv.py", line 2, in forward\nRuntimeError: DefaultCPUAllocator: can\'t allocate '
        "memory: you tried to allocate 134217728 bytes.\nframe #0"
    )
    told = "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 134217728 bytes."
    assert reason_of(error) == f"out of memory; {MEMORY_ADVICE} ({told})"
    assert len(reason_of(RuntimeError("out of memory " + "x" * 9999))) < 500


@pytest.mark.parametrize(
    "error",
    [
        SystemError("error return without exception set"),
        RuntimeError("could not create a primitive"),
        OSError("codec configuration error when writing image file"),
    ],
)
def test_is_out_of_memory__in_other_words_of_libraries(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert reason_of(error).startswith(f"out of memory; {MEMORY_ADVICE}")
    assert not is_out_of_memory(type(error)("odd"))


def test_reason_of__library_on_a_disk_whose_files_may_not_be_executed_is_no_lack_of_memory() -> None:
    words = "libfoo.so: failed to map segment from shared object"
    assert not is_out_of_memory(ImportError(f"{words}: Operation not permitted"))
    assert reason_of(ImportError(f"{words}: Operation not permitted")).endswith("Operation not permitted")
    assert is_out_of_memory(ImportError(f"{words}: Cannot allocate memory"))
    # Of newer C libraries: the name of the library is what leads to another cause.
    assert reason_of(ImportError(words)) == f"out of memory; {MEMORY_ADVICE} ({words})"
    assert reason_of(MemoryError()) == f"out of memory; {MEMORY_ADVICE}"
    # Of NumPy: what was too large.
    assert (
        reason_of(MemoryError("Unable to allocate 9 GiB"))
        == f"out of memory; {MEMORY_ADVICE} (Unable to allocate 9 GiB)"
    )
