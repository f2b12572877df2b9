"""What all Nipype shells of the preparation share: a backend by its name, and the reason of a failure left behind.

Everything that a result depends on is an input (backend, versions, options), so that Nipype's cache notices every
change. No backend draws random numbers. Input images need not exist for a node to be made: reading them then gives the
clear message.
"""

# mypy: allow-subclassing-any
import os
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

# Nipype would otherwise report its use over the network.
os.environ.setdefault("NIPYPE_NO_ET", "1")

import nibabel as nib
import numpy as np
from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, Str

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.nifti import opened_image
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.backends.choice import make_backend
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FslOptions
from bids_spectsynth.preprocess.records import one_line_reason, save_failure


class CommonInputs(BaseInterfaceInputSpec):
    """Inputs that every step has."""

    backend = Str(mandatory=True, desc="resolved name of the backend")
    software = Str(mandatory=True, desc="versions of this package and of the backend's tools")
    options = Str("", usedefault=True, desc="options of the fsl backend, JSON")
    failure_file = Str(mandatory=True, nohash=True, desc="where the reason of a failure is left")


class Step(SimpleInterface):
    """A step that leaves the reason of its failure in a file, which the main process reads."""

    input_spec = CommonInputs
    step = "preprocessing"
    _stopped: BaseException | None = None

    @abstractmethod
    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        """Outputs of the step, its files written into ``folder``."""

    def run(self, cwd: Any = None, ignore_exception: bool | None = None, **inputs: Any) -> Any:
        """As Nipype's, which swallows all that ends a step: a signal ends the run and not the step alone.

        Parameters
        ----------
        cwd, ignore_exception, inputs
            See :meth:`nipype.interfaces.base.BaseInterface.run`.
        """
        result = super().run(cwd, ignore_exception, **inputs)
        if self._stopped is not None:
            raise self._stopped
        return result

    def _run_interface(self, runtime: Any) -> Any:
        try:
            fsl = FslOptions.from_text(self.inputs.options) if self.inputs.options else DEFAULT_OPTIONS
            backend = make_backend(self.inputs.backend, self._threads(), fsl)
            self._results.update(self._compute(Path(runtime.cwd), backend))
        except Exception as error:
            # On a full disk the main process takes the reason from the error.
            with suppress(OSError):
                save_failure(Path(self.inputs.failure_file), one_line_reason(error, self.step))
            raise
        except (KeyboardInterrupt, SystemExit) as stop:
            self._stopped = stop
            raise
        finally:
            # Nipype would store it all with the result, keys to other services included.
            runtime.environ = {}
        return runtime

    def _threads(self) -> int:
        return 1


def read_mask(path: Path) -> nib.Nifti1Image:
    """Brain mask of an earlier step, uint8."""
    with opened_image(path) as image:
        return new_image(np.array(image.dataobj, dtype=np.uint8), image.affine)


def named(path: Path, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call ``function``; an ImageError from it that does not say which file gets the path in front.

    Parameters
    ----------
    path : Path
        Of the file that the function reads.
    function : callable
    args, kwargs
        Of the function.

    Raises
    ------
    ImageError
        The function's own, with the file's path.
    """
    try:
        return function(*args, **kwargs)
    except ImageError as error:
        if str(path) in str(error):
            raise
        raise ImageError(f"{path}: {error}") from error
