"""Simulated cohorts one after the other, each drawn in the background while the one before is learned from."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from types import TracebackType

from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.pretraining.cohort import CohortPlan, CohortRequest, draw_planned, plan_cohort, scaled_cases
from bids_spectsynth.pretraining.heads import SimulatedHead
from bids_spectsynth.synthesis.data.slices import CaseArrays

#: How often a training that waits for heads looks whether it is to stop.
_POLL_SECONDS = 0.2


class CohortStream(AbstractContextManager["CohortStream"]):
    """Cohorts by number; nothing of them is stored, and each is the same whenever it is drawn.

    Parameters
    ----------
    request : CohortRequest
    workers : int
        Threads that draw heads. Drawing is mostly work that lets other threads run.
    """

    def __init__(self, request: CohortRequest, workers: int) -> None:
        self.request = request
        # Cached by itself, but once for each thread that comes while the first one is reading.
        load_atlas()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="simulated heads")
        self._begun: dict[int, tuple[CohortPlan, Sequence[Future[SimulatedHead]]]] = {}

    def cohort(self, number: int) -> list[CaseArrays]:
        """A cohort; the next one is begun.

        Parameters
        ----------
        number : int
            From 0.
        """
        self._begin_two(number)
        plan, drawn = self._begun.pop(number)
        return scaled_cases(self.request, plan, [head.result() for head in drawn], str(number))

    def wait(self, number: int, stopped: Callable[[], bool]) -> bool:
        """Wait until a cohort is drawn, which takes minutes where training is fast; whether it is.

        Parameters
        ----------
        number : int
        stopped : callable
            Asked again and again; True ends the waiting.
        """
        self._begin_two(number)
        while not stopped():
            if not wait(self._begun[number][1], timeout=_POLL_SECONDS).not_done:
                return True
        return False

    def draw(self, request: CohortRequest, plan: CohortPlan) -> list["Future[SimulatedHead]"]:
        """Begin to draw the heads of a plan."""
        return [self._threads.submit(draw_planned, request, plan, index) for index in range(request.n_heads)]

    def _begin_two(self, number: int) -> None:
        for wanted in (number, number + 1):
            if wanted not in self._begun:
                plan = plan_cohort(self.request, wanted)
                self._begun[wanted] = plan, self.draw(self.request, plan)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Heads that are being drawn are finished, a second or two; the others are not begun.
        self._threads.shutdown(wait=True, cancel_futures=True)
