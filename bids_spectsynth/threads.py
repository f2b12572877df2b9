"""Work in threads that ends also where a thread finds no memory at its start.

:meth:`threading.Thread.start` waits until the new thread says that it is there. One that has been made, and then finds
no memory for its first step, never says so, and whoever started it waits for ever: :mod:`concurrent.futures` too. Here
nobody waits for a thread as such, only for what it was to do; what no thread does, the caller does.
"""

import _thread
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: How long something may take, s, until it is asked whether there is a thread that does it.
PATIENCE = 0.5


def begin(work: Callable[[], object]) -> bool:
    """Start a thread that the program does not wait for at its end; False where the system makes none.

    Parameters
    ----------
    work : callable
        Raises nothing. It may never be called: see above.
    """

    def seen() -> None:
        # What measures coverage, a debugger or a profiler asked for all threads.
        if (trace := threading.gettrace()) is not None:
            sys.settrace(trace)
        if (profile := threading.getprofile()) is not None:
            sys.setprofile(profile)
        work()

    try:
        _thread.start_new_thread(seen, ())
    except (RuntimeError, MemoryError):
        return False
    return True


class Threads(AbstractContextManager["Threads"]):
    """A few threads that share work; at the end of the block they have ended what they had begun.

    Parameters
    ----------
    number : int
        At most so many at a time; one more, the caller, where they take long to begin.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._begun: list[_Shared[object, object]] = []

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items; the work on all of them begins with the call.

        Parameters
        ----------
        function : callable
            What it raises is raised where its result would have been.
        items : iterable
        """
        shared = _Shared(function, list(items))
        self._begun.append(shared)  # type: ignore[arg-type]  # only to be stopped
        for _ in range(min(self.number, len(shared.items))):
            begin(shared.work)
        return shared.results()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shared in self._begun:
            shared.end()


class _Shared(Generic[Item, Result]):
    """Items of which each is taken once, by whoever comes first."""

    def __init__(self, function: Callable[[Item], Result], items: list[Item]) -> None:
        self.function, self.items = function, items
        self._futures: dict[int, Future[Result]] = {number: Future() for number in range(len(items))}
        self._next = 0
        self._at_work = 0
        self._state = threading.Condition()

    def work(self) -> None:
        """What a thread does: one item after the other."""
        try:
            with self._state:
                self._at_work += 1
            try:
                while (number := self._take()) is not None:
                    self._do(number)
            finally:
                with self._state:
                    self._at_work -= 1
                    self._state.notify_all()
        except MemoryError:
            # Between the items; the caller sees that nobody is at work.
            return

    def results(self) -> Iterator[Result]:
        patience = PATIENCE
        for number in range(len(self.items)):
            while not wait([self._futures[number]], patience).done:
                # Where nobody was at work once, it is not waited for each time.
                patience = 0.0 if self._help(number) else PATIENCE
            # What is large is kept by nobody but the caller.
            yield self._futures.pop(number).result()

    def end(self) -> None:
        """Let nothing new begin, and wait for what is being done."""
        with self._state:
            self._next = len(self.items)
            while self._at_work:
                self._state.wait(PATIENCE)

    def _take(self) -> int | None:
        with self._state:
            number = self._next
            self._next = min(number + 1, len(self.items))
        return number if number < len(self.items) else None

    def _do(self, number: int) -> None:
        future = self._futures[number]
        try:
            result = self.function(self.items[number])
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _help(self, number: int) -> bool:
        """Do what is waited for where no thread is at work: none has come as far, or the last one is gone."""
        with self._state:
            if self._at_work or self._futures[number].done():
                return False
            # A thread that comes late goes on behind it.
            self._next = max(self._next, number + 1)
        self._do(number)
        return True
