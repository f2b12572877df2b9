"""Threads that share work, and what becomes of it where they cannot begin."""

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth import threads
from bids_spectsynth.errors import is_out_of_memory
from bids_spectsynth.threads import Threads, begin

#: Threads are begun while there is memory for their stack and next to nothing else.
_SHORT_OF_MEMORY = """
import resource, sys, threading
import psutil
from bids_spectsynth.termination import interruptible
from bids_spectsynth.threads import Threads

process, hard = psutil.Process(), resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (process.memory_info().vms, hard))
ballast = []
try:
    while True:
        ballast.append(bytearray(2**16))
except MemoryError:
    del ballast[-8:]
resource.setrlimit(resource.RLIMIT_AS, (process.memory_info().vms + int(sys.argv[1]) * 1024, hard))
if sys.argv[2] == "map":
    with Threads(2) as pool:
        found = list(pool.map(lambda item: (item, threading.current_thread() is threading.main_thread()), [3, 4]))
    print([item for item, _ in found], any(by_caller for _, by_caller in found))
else:
    print(interruptible(lambda: [3, 4]), False)
"""


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_map__is_that_of_a_list(items: list[int], number: int) -> None:
    with Threads(number) as pool:
        assert list(pool.map(lambda item: 2 * item, items)) == [2 * item for item in items]


def test_map__works_at_the_same_time_and_in_no_more_threads_than_asked_for() -> None:
    both, seen = threading.Barrier(2, timeout=60), set()

    def work(item: int) -> int:
        seen.add(threading.get_ident())
        if item < 2:
            both.wait()
        return item

    with Threads(2) as pool:
        assert list(pool.map(work, range(20))) == list(range(20))
    assert len(seen) == 2
    assert threading.get_ident() not in seen


def test_map__begins_before_it_is_asked_for_results() -> None:
    begun = threading.Event()
    with Threads(1) as pool:
        results = pool.map(lambda item: begun.set(), [0])
        assert begun.wait(60)
        assert list(results) == [None]


def test_map__raises_where_the_result_would_have_been() -> None:
    with Threads(2) as pool:
        results = pool.map(lambda item: 1 // item, [1, 0, 1])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_end__waits_for_what_was_begun_and_begins_nothing_more() -> None:
    done, begun = [], threading.Event()

    def work(item: int) -> None:
        begun.set()
        time.sleep(0.2)
        done.append(item)

    with Threads(1) as pool:
        pool.map(work, range(50))
        assert begun.wait(60)
    assert done
    before = list(done)
    time.sleep(0.5)
    assert done == before
    assert len(done) < 50


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_map__without_any_thread_is_done_by_the_caller(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def none(*_: object) -> None:
        raise error

    monkeypatch.setattr(threads._thread, "start_new_thread", none)
    assert not begin(lambda: None)
    with Threads(3) as pool:
        assert list(pool.map(lambda item: threading.get_ident(), [1, 2])) == [threading.get_ident()] * 2


def test_map__of_threads_that_never_get_as_far_is_done_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads._thread, "start_new_thread", lambda *_: 1)
    with Threads(3) as pool:
        assert list(pool.map(lambda item: 2 * item, [1, 2])) == [2, 4]


def test_map__a_thread_that_dies_at_an_item_leaves_it_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(self: threads._Shared[int, int], number: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError
        self._futures[number].set_result(self.function(self.items[number]))

    monkeypatch.setattr(threads._Shared, "_do", dying)
    with Threads(2) as pool:
        assert list(pool.map(lambda item: 2 * item, [1, 2, 3])) == [2, 4, 6]


@pytest.mark.parametrize("how", ["map", "interruptible"])
def test_map__ends_whatever_memory_is_left_for_a_thread(how: str) -> None:
    """The stack is 8 MB: with less there is no thread, with some KB more one that cannot take its first step."""
    found = []
    for kilobytes in (7000, *range(8192, 8240, 6)):
        command = [sys.executable, "-c", _SHORT_OF_MEMORY, str(kilobytes), how]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        # It may be too little for Python itself, which is then an error and no waiting.
        if done.returncode == 0:
            found.append(done.stdout.strip())
            assert done.stdout.startswith("[3, 4]")
        else:
            assert is_out_of_memory(RuntimeError(done.stderr.splitlines()[-1])) or "MemoryError" in done.stderr
    assert found
    assert how != "map" or any(line.endswith("True") for line in found)
