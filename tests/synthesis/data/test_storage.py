import errno
import os

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data import storage as slice_storage
from bids_spectsynth.synthesis.data.gathering import gather_once, gather_slices
from bids_spectsynth.synthesis.data.storage import Storage, decode, decoded_on, encode, storage_for
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.train import train

SPECS = {"images": ((3, 2, 4), torch.int16), "masks": ((0, 4), torch.bool)}


@given(st.lists(st.floats(-1, 1, width=32), min_size=1))
def test_stored_numbers_are_off_by_half_a_step_at_most(values):
    plain = torch.tensor(values, dtype=torch.float32)
    assert (decode(encode(plain)) - plain).abs().max() <= 0.5001 / slice_storage.SCALE


def test_the_ends_and_zero_stay_exact():
    ends = torch.tensor([-1.0, 0.0, 1.0])
    assert torch.equal(decode(encode(ends)), ends)
    assert encode(torch.empty(0)).shape == (0,)


@pytest.mark.parametrize("value", [1.001, -2.0, float("nan")])
def test_what_cannot_be_stored_is_refused(value):
    with pytest.raises(ModelError, match="outside -1 to 1"):
        encode(torch.tensor([0.0, value]))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_slices_come_decoded_in_the_layout_of_the_computation(layout):
    plain = torch.rand(2, 3, 4, 5) * 2 - 1
    how = Computation(torch.device("cpu"), layout=layout)
    found = decoded_on(encode(plain), how)
    assert found.is_contiguous(memory_format=how.memory_format)
    torch.testing.assert_close(found, plain, rtol=0, atol=0.51 / slice_storage.SCALE)


def test_small_data_lie_in_memory_and_large_in_files(tmp_path):
    n_bytes = 3 * 2 * 4 * 2
    Storage(tmp_path / "a", n_bytes).allocate(SPECS)
    assert not (tmp_path / "a").exists()
    storage = Storage(tmp_path / "a", n_bytes - 1)
    tensors = storage.allocate(SPECS)
    assert (tmp_path / "a" / "images").stat().st_size == n_bytes
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"images": (3, 2, 4), "masks": (0, 4)}
    storage.remove()
    assert not (tmp_path / "a").exists()


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(
        ModelError, match=r"cannot store .* GB of training slices \(No space left.*--slice-storage memory"
    ):
        Storage(tmp_path / "a", 0).allocate(SPECS)


@pytest.mark.parametrize(
    ("choice", "processes", "in_memory"),
    [("memory", 1, True), ("memory", 2, True), ("auto", 1, True), ("auto", 2, False), ("disk", 1, False)],
)
def test_where_slices_go(tmp_path, choice, processes, in_memory):
    settings = make_settings(
        {"bids_dir": "/d", "output_dir": tmp_path, "analysis_level": "participant", "slice_storage": choice}
    )
    storage = storage_for(settings, tmp_path / "models" / "a", processes)
    storage.allocate(SPECS)
    assert (tmp_path / "work" / "slices").exists() is not in_memory


def test_auto_follows_the_free_memory(tmp_path, monkeypatch):
    plain = {"bids_dir": "/d", "output_dir": tmp_path, "analysis_level": "participant"}
    free = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free._replace(available=1000))
    assert storage_for(make_settings(plain), tmp_path, 1).limit == 500
    assert storage_for(make_settings({**plain, "mem_mb": 2}), tmp_path, 1).limit == 2**20


def test_training_from_files_is_that_from_memory(tmp_path, make_case):
    config = TrainingConfig(
        label="a", inputs=("T1w", "pet"), slices_per_subject=5, epochs=2, batch_size=4, base_filters=2,
        neighbour_slices=1,
    )  # fmt: skip
    cohort = [make_case("01", 1), make_case("02", 2)], [make_case("03", 3)]
    folder = tmp_path / "slices"
    cards = [
        train(*cohort, config, tmp_path / name, device="cpu", progress=False, storage=storage)
        for name, storage in (("memory", Storage()), ("disk", Storage(folder, 0)))
    ]
    assert cards[0].weights_sha256 == cards[1].weights_sha256
    assert not folder.exists()


def test_other_processes_map_what_the_first_has_read(tmp_path, make_case):
    storage, waits = Storage(tmp_path / "s", 0), []

    class Pretended(Processes):
        def wait(self) -> None:
            waits.append(self.local_rank)

    def gather():
        return gather_slices([make_case("01", 1), make_case("02", 2)], 6, masks=True, neighbours=1, storage=storage)

    def unused():
        raise AssertionError("read twice")

    first, facts = gather_once(storage, Pretended(0, 2, 0), gather)
    second, same_facts = gather_once(storage, Pretended(1, 2, 1), unused)
    assert waits == [0, 1]
    assert (facts, first.layout) == (same_facts, second.layout)
    rows = torch.tensor([0, 5, 11])
    assert torch.equal(first.inputs(rows), second.inputs(rows))
    assert torch.equal(first.masks, second.masks)
    first.targets[3] = 7
    assert (second.targets[3] == 7).all(), "a copy instead of one memory"


def test_a_process_that_finds_nothing_says_so(tmp_path):
    with pytest.raises(ModelError, match="left no slices here"):
        slice_storage.read_index(tmp_path)


def test_a_step_on_stored_slices_is_that_on_exact_ones():
    config = TrainingConfig(label="a", inputs=("T1w", "pet"), base_filters=4, ssim_weight=1.0)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, 2, 64, 64, generator=generator) * 2 - 1
    exact = inputs, inputs[:, :1] / 2
    stored = [decode(encode(slices)) for slices in exact]
    how = Computation(torch.device("cpu"))
    losses = [Stepper(config, 2, 5, how, Processes()).step(*batch, 1) for batch in (exact, stored)]
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, rtol=1e-4, atol=0)
