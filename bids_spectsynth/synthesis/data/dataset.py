"""The slices of a cohort as tensors in memory, their batches, and what is kept of the cohort's real SPECTs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bids_spectsynth.synthesis.data.cropping import Size

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SliceLayout:
    """Numbers that say how the slices of a cohort are laid out.

    Parameters
    ----------
    n_cases, per_case : int
        Cases, and slices of each.
    channels, height, width : int
        Input images, and the size of a slice.
    neighbours : int
        Slices on each side of a slice that are input channels too.
    masks : bool
        Whether masks are kept; without them where nobody needs them, because a large cohort's are large.
    sizes : sequence of (int, int)
        Height and width of each case's own box, where slices are cropped: the part of them that its brain needs. Empty
        where they are whole.
    """

    n_cases: int
    per_case: int
    channels: int
    height: int
    width: int
    neighbours: int
    masks: bool
    sizes: Sequence[Sequence[int]] = ()

    @property
    def stored(self) -> int:
        """Slices of a case with those around its block."""
        return self.per_case + 2 * self.neighbours

    @property
    def specs(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shapes and types of what is stored."""
        n, size = self.n_cases * self.per_case, (self.height, self.width)
        return {
            "images": ((self.n_cases * self.stored, self.channels, *size), torch.int16),
            "targets": ((n, 1, *size), torch.int16),
            "masks": ((n if self.masks else 0, 1, *size), torch.bool),
        }


@dataclass(frozen=True, eq=False)
class SliceData:
    """Slices of a cohort.

    Parameters
    ----------
    layout : SliceLayout
    images : tensor, shape (M, C, I, J), int16
        The N slices and, with neighbours, the slices around each case's block; C input images.
        :func:`bids_spectsynth.synthesis.data.storage.decode` gives them in (-1, 1).
    targets : tensor, shape (N, 1, I, J), int16
    masks : tensor, shape (N, 1, I, J), bool
        Brain where the SPECT was measured (:attr:`CaseArrays.evaluation_mask`); N = 0 where masks are not kept.
    """

    layout: SliceLayout
    images: Tensor
    targets: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return self.targets.shape[0]

    @property
    def cases(self) -> Tensor:
        """Which case a slice is of, counted from 0: (N,), int64."""
        return torch.arange(self.layout.n_cases).repeat_interleave(self.layout.per_case)

    def by_size(self) -> dict[Size, Tensor]:
        """The slices, as rows, by the height and width that their case's brain needs."""
        layout = self.layout
        found: dict[Size, list[int]] = {}
        for case in range(layout.n_cases):
            height, width = layout.sizes[case] if layout.sizes else (layout.height, layout.width)
            found.setdefault((height, width), []).extend(range(case * layout.per_case, (case + 1) * layout.per_case))
        return {size: torch.tensor(rows) for size, rows in found.items()}

    def inputs(self, rows: Tensor) -> Tensor:
        """Input channels (len(rows), C (2 neighbours + 1), I, J), int16; those of one image follow each other."""
        layout = self.layout
        centres = rows // layout.per_case * layout.stored + rows % layout.per_case + layout.neighbours
        if not layout.neighbours:
            return self.images[centres]
        offsets = torch.arange(-layout.neighbours, layout.neighbours + 1)
        return self.images[centres[:, None] + offsets].transpose(1, 2).flatten(1, 2)


def resident(data: SliceData, device: torch.device) -> SliceData:
    """The slices on the GPU, if they take at most a quarter of its free memory; else as they are."""
    if device.type != "cuda":
        return data
    n_bytes = sum(tensor.nbytes for tensor in (data.images, data.targets))
    if n_bytes > torch.cuda.mem_get_info(device)[0] / 4:
        return data
    return replace(data, images=data.images.to(device), targets=data.targets.to(device))
