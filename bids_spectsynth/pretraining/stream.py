"""Simulated cohorts one after the other, each drawn in the background while the one before is learned from."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.pretraining.cohort import CohortPlan, CohortRequest, draw_planned, plan_cohort, scaled_cases
from bids_spectsynth.pretraining.heads import SimulatedHead
from bids_spectsynth.synthesis.data.slices import CaseArrays


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
        for wanted in (number, number + 1):
            if wanted not in self._begun:
                self._begun[wanted] = self._begin(wanted)
        plan, drawn = self._begun.pop(number)
        return scaled_cases(self.request, plan, [head.result() for head in drawn], str(number))

    def _begin(self, number: int) -> tuple[CohortPlan, list["Future[SimulatedHead]"]]:
        plan = plan_cohort(self.request, number)
        heads = range(self.request.n_heads)
        return plan, [self._threads.submit(draw_planned, self.request, plan, index) for index in heads]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Heads that are being drawn are finished, a second or two; the others are not begun.
        self._threads.shutdown(wait=True, cancel_futures=True)
