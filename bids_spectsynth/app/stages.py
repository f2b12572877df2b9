"""What the participant level consists of: stages that share a context, and the order in which they run."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bids_spectsynth.app.outcomes import log_outcome
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import Outcome
from bids_spectsynth.options.settings import Settings

if TYPE_CHECKING:
    from bids_spectsynth.app.model_choice import AppliedModel
    from bids_spectsynth.evaluation.uncertainty.files import StoredCalibrations
    from bids_spectsynth.quality.judge import Flag

logger = logging.getLogger(__name__)

#: What becomes of those that a failure of another one leaves undone.
NOT_FINISHED = "not finished, because another case failed (--stop-on-first-crash)"


@dataclass(eq=False)
class Context:
    """What the stages of one run share.

    Parameters
    ----------
    settings : Settings
        With the inputs and spaces of all models.
    run_folder : Path or None
        Of the run's logs; None until it is made, and in a dry run, in which nothing is written.
    models : list of AppliedModel
        To be applied; empty until they are trained, where the run trains.
    cases : list of Case
        Found in the dataset.
    synthesised : list of (AppliedModel, PreparedCase)
        Of which there is a current synthetic image.
    calibrations : mapping of str to StoredCalibrations or None
        By label of the model; see :func:`bids_spectsynth.app.calibration.provide_calibrations`.
    flags : mapping of str to tuple of Flag
        What is doubtful about the prepared images of a case, by its name; of all cases of the output folder that
        could be judged. None until they are judged.
    unjudged : frozenset of str
        Names of the cases of the output folder that could not be judged, or whose preparation has not ended.
    outcomes : list of Outcome
        So far.
    stage : str
        Name of the one that runs, or ran last.
    """

    settings: Settings
    run_folder: Path | None = None
    models: "list[AppliedModel]" = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    synthesised: "list[tuple[AppliedModel, PreparedCase]]" = field(default_factory=list)
    calibrations: "dict[str, StoredCalibrations | None]" = field(default_factory=dict)
    flags: "Mapping[str, tuple[Flag, ...]] | None" = None
    unjudged: frozenset[str] = frozenset()
    outcomes: list[Outcome] = field(default_factory=list)
    stage: str = ""

    @property
    def flagged(self) -> frozenset[str]:
        """Names of the cases that are neither trained on nor rated, because their images are flagged."""
        if self.settings.include_flagged:
            return frozenset()
        return frozenset(name for name, flags in (self.flags or {}).items() if flags)

    @property
    def left_out(self) -> frozenset[str]:
        """Names of the cases from which nothing is learned: those that are flagged, and those that nobody judged."""
        return self.flagged | self.unjudged

    @property
    def unfailed(self) -> frozenset[str]:
        """Names of the cases that nothing has gone wrong with so far."""
        return self.unfailed_in({outcome.stage for outcome in self.outcomes})

    def unfailed_in(self, stages: Collection[str]) -> frozenset[str]:
        """Names of the cases that nothing has gone wrong with in some stages, whatever did in others."""
        bad = [outcome for outcome in self.outcomes if outcome.status == "failed" and outcome.stage in stages]
        failed = {(outcome.participant, outcome.session) for outcome in bad}
        return frozenset(case.name for case in self.cases if (case.participant, case.session) not in failed)

    @property
    def must_stop(self) -> bool:
        """Whether a case has failed in a run that is to stop then."""
        return self.settings.stop_on_first_crash and any(outcome.status == "failed" for outcome in self.outcomes)


@dataclass(frozen=True)
class Stage:
    """One stage of the participant level.

    Parameters
    ----------
    name : str
        Of its outcomes.
    applies : callable
        Whether a run with these settings has the stage.
    run : callable
        Does the work and gives the outcomes, one by one as they come: what came before an error is recorded.
    plan : callable, optional
        What the stage would do, in one line for a dry run; without it the line of the stage before says so.
    only_reads : bool
        It runs in a dry run, too, and what fails in it keeps nobody else from the next stage.
    shared : bool
        Processes that ``torchrun`` has started do it together; all else is for the first of them.
    """

    name: str
    applies: Callable[[Settings], bool]
    run: Callable[[Context], Iterable[Outcome]]
    plan: Callable[[Settings], str] | None = None
    only_reads: bool = False
    shared: bool = False


def run_stages(stages: Sequence[Stage], context: Context) -> None:
    """Run stages in order and collect their outcomes in the context, also where one of them ends in an error.

    With ``--stop-on-first-crash`` no further stage begins after one that ended with a failure.

    Parameters
    ----------
    stages : sequence of Stage
        Those that apply to the settings.
    context : Context
    """
    for stage in stages:
        context.stage = stage.name
        for outcome in stage.run(context):
            # One name for a stage, whoever describes what happened in it.
            own = replace(outcome, stage=stage.name)
            log_outcome(own)
            context.outcomes.append(own)
        if context.must_stop and not stage.only_reads:
            if stage is not stages[-1]:
                logger.error("stopped after %s (--stop-on-first-crash)", stage.name)
            return


def one_by_one(
    context: Context,
    pairs: "Sequence[tuple[AppliedModel, PreparedCase]]",
    run: "Callable[[AppliedModel, PreparedCase], Outcome]",
) -> Iterable[Outcome]:
    """Outcomes of models and cases in turn; with ``--stop-on-first-crash`` nothing begins after a failure.

    Parameters
    ----------
    context : Context
    pairs : sequence of (AppliedModel, PreparedCase)
    run : callable
        Gives the outcome of one of them.
    """
    for number, pair in enumerate(pairs):
        outcome = run(*pair)
        yield outcome
        if outcome.status == "failed" and context.settings.stop_on_first_crash:
            for _, case in pairs[number + 1 :]:
                yield Outcome(case.participant, case.session, outcome.stage, "failed", NOT_FINISHED)
            return
