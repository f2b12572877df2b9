"""Tensor files that are written whole or not at all.

Nothing here is a pickle: numbers that are not tensors stand in the header of a safetensors file.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from bids_spectsynth.bids.sidecars import parse_object
from bids_spectsynth.bids.writing import temporary_path
from bids_spectsynth.errors import ModelError, naming

_HEADER = "bids_spectsynth"
#: No weight of a network that learned something is anywhere near: weights begin at 0.02, running variances at 1.
LARGEST_WEIGHT = 1e6


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to a safetensors file, whole or not at all.

    Parameters
    ----------
    path : Path
        Its folder is made where there is none.
    tensors : mapping of str to tensor
        Of any layout and device.
    header : mapping
        Of values that JSON has.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    with naming(path, temporary):
        temporary.touch(0o666, exist_ok=False)
        mode = temporary.stat().st_mode
        try:
            # Straight from the tensors' memory to the file: a copy as bytes would take as much memory again.
            save_file(plain, temporary, {_HEADER: json.dumps(header)})
            # The library lets only the owner read it; the user's umask is to decide.
            temporary.chmod(mode)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except safetensors.SafetensorError as error:
            raise _system_error(error) from error
        finally:
            temporary.unlink(missing_ok=True)


def _system_error(error: Exception) -> Exception:
    """The error of the system that the library tells of in its own words; the library's where there is none."""
    found = re.search(r"os error (\d+)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else error


def unusable(tensors: Mapping[str, Tensor], largest: float = math.inf) -> str:
    """Name of the first tensor with NaN, infinity or a value beyond ``largest`` either way; empty without one.

    Parameters
    ----------
    tensors : mapping of str to tensor
        Counts, which are whole numbers, are left out.
    largest : float

    Examples
    --------
    >>> unusable({"bias": torch.tensor([1.0, -9.0])}, largest=8.0), unusable({"bias": torch.tensor([1.0, -9.0])})
    ('bias', '')
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            values = tensor.abs()
            # NaN compares as false.
            if not bool((torch.isfinite(values) & (values <= largest)).all()):
                return name
    return ""


def read_header(path: Path) -> dict[str, Any]:
    """The header of a file of :func:`save_tensors`, without its tensors.

    Raises
    ------
    ModelError
        The file is missing, damaged, or no file of this software.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            return parse_object((file.metadata() or {})[_HEADER])
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: damaged or not of this software ({error}); copy it again or train anew") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`save_tensors` into memory.

    Raises
    ------
    ModelError
        The file is missing, damaged, or no file of this software.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            header = parse_object((file.metadata() or {})[_HEADER])
            # Cloned, because the file is mapped into memory and may be replaced while the tensors are in use.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, header  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; the model folder is not complete") from error
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: damaged or not of this software ({error}); copy it again or train anew") from error
