"""What is known of a case when its images are aligned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.preprocess.records import StepRecord
from bids_spectsynth.preprocess.registration.result import Registration


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseRecords:
    """What is known of a case when its images are aligned.

    Parameters
    ----------
    case : Case
    bids_dir, output_dir : Path
    records : mapping
        By role: notes and, except for ``T1w``, the registration to the T1w. By label of a template: the registration of
        the T1w to it (template to T1w world coordinates).
    """

    case: Case
    bids_dir: Path
    output_dir: Path
    records: Mapping[str, StepRecord]

    def registration(self, name: str) -> Registration:
        """The registration of a role to the T1w, or of the T1w to a template.

        Raises
        ------
        KeyError
            There is none.
        """
        found = self.records[name].registration
        if found is None:
            raise KeyError(f"no registration of {name}")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedInputs(CaseRecords):
    """What :func:`bids_spectsynth.preprocess.outputs.images.write_prepared` needs to know besides.

    Parameters
    ----------
    space : str
        ``T1w`` or the label of a template's space.
    voxel_size : float
        mm.
    t1w_mask : Nifti1Image
        On the voxels of the T1w.
    own_masks : mapping
        By role, on the voxels of that image; a role without one takes the T1w's mask.
    optional : tuple of str
        Roles of images that no model needs: one that cannot be used is left out.
    """

    space: str
    voxel_size: float
    t1w_mask: nib.Nifti1Image
    own_masks: Mapping[str, nib.Nifti1Image]
    optional: tuple[str, ...] = ()
