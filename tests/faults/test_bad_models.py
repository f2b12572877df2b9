"""Hostile model folders: one line and exit code 5, nothing executed, nothing written, no memory taken."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from limits import at_most, memory
from safetensors.torch import load_file, save_file

from bids_spectsynth.errors import ExitCode, ModelError
from bids_spectsynth.synthesis.models.ensemble import load_members
from bids_spectsynth.synthesis.models.folder import load_model, weights_checksum
from tests.synthesis.models.conftest import change_card, make_model

CARD, WEIGHTS, ENSEMBLE = "model.json", "model.safetensors", "ensemble.json"
Damage = Callable[[Path], object]


def weights(change: Callable[[dict[str, torch.Tensor]], object], *, fits: bool = True) -> Damage:
    """Other weights; their checksum fits, so that it is not that which refuses them."""

    def damage(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, {"bids_spectsynth": "{}"})
        if fits:
            change_card(folder, weights_sha256=weights_checksum(tensors))

    return damage


def first(value: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    """The first weight of its kind is another tensor."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        name = sorted(tensors)[0]
        tensors[name] = value(tensors[name])

    return weights(change)


def filled(number: float) -> Damage:
    return first(lambda tensor: torch.full_like(tensor, number))


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Another header of the safetensors file, the tensors as they were."""

    def damage(folder: Path) -> None:
        content = (folder / WEIGHTS).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        table = json.loads(content[8 : 8 + length])
        change(table)
        text = json.dumps(table).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return damage


def offsets(first: int, last: int) -> Damage:
    def change(table: dict[str, Any]) -> None:
        name = next(name for name in table if name != "__metadata__")
        table[name]["data_offsets"] = [first, last]

    return header(change)


def shape(*lengths: int) -> Damage:
    def change(table: dict[str, Any]) -> None:
        name = next(name for name in table if name != "__metadata__")
        table[name]["shape"] = list(lengths)

    return header(change)


def raw(content: bytes, name: str = WEIGHTS) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def card(**changes: Any) -> Damage:
    return lambda folder: change_card(folder, **changes)


def pipe(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


class _Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


def planted(*names: str, remove: bool = True) -> Damage:
    """A pickle that would write a file, instead of the weights or beside them."""

    def damage(folder: Path) -> None:
        if remove:
            (folder / WEIGHTS).unlink()
        for name in names:
            (folder / name).write_bytes(pickle.dumps(_Payload(folder.parent / "executed")))

    return damage


def ensemble(members: Any, *, label: Any = "bestPet", version: Any = 1) -> Damage:
    def damage(folder: Path) -> None:
        content = {"format_version": version, "label": label, "members": members}
        (folder / ENSEMBLE).write_text(json.dumps(content))

    return damage


def member(name: Any, fold: Any = 1) -> Damage:
    return ensemble([{"folder": name, "fold": fold}])


def itself(folder: Path) -> None:
    """The member is the folder of the ensemble itself, by a link."""
    (folder / CARD).unlink()
    (folder / "fold-1").symlink_to(folder)
    member("fold-1")(folder)


def linked(folder: Path) -> None:
    for name in (CARD, WEIGHTS):
        (folder / name).unlink()
        (folder / name).symlink_to(folder / name)


KINDS: dict[str, Damage] = {
    "a tensor of another shape": first(lambda t: torch.zeros(*t.shape, 2)),
    "a tensor of half precision": first(lambda t: t.half()),
    "a tensor of whole numbers": first(lambda t: t.int()),
    "a tensor without values": first(lambda t: t[:0]),
    "a tensor of 10^6 values": first(lambda t: torch.zeros(1_000_000)),
    "a further tensor": weights(lambda t: t.update(more=torch.zeros(3))),
    "no tensors": weights(lambda t: t.clear()),
    "a tensor is missing": weights(lambda t: t.pop(sorted(t)[0])),
    "a tensor of another name": weights(lambda t: t.update({"<b>\x1b[2J": t.pop(sorted(t)[0])})),
    "NaN": filled(float("nan")),
    "infinity": filled(float("inf")),
    "minus infinity": filled(-float("inf")),
    "a weight of 1e30": filled(1e30),
    "a checksum of others": weights(lambda t: t.update({k: v + 1 for k, v in t.items()}), fits=False),
    "weights of 0 bytes": raw(b""),
    "weights of 7 bytes": raw(b"1234567"),
    "zeros for weights": raw(bytes(5000)),
    "a header of 2^63 bytes": raw(struct.pack("<Q", 2**63) + b"{}"),
    "a header of 10^12 bytes": raw(struct.pack("<Q", 10**12) + b"{}"),
    "a header of 90 MB": raw(struct.pack("<Q", 90_000_000) + b"{}"),
    "a header nested too deeply": raw(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "a header that is a list": raw(struct.pack("<Q", 2) + b"[]"),
    "a header of no text": raw(struct.pack("<Q", 4) + b"\xff\xfe{}"),
    "overlapping tensors": offsets(4, 8),
    "tensors beyond the end": offsets(0, 10**12),
    "tensors before the beginning": offsets(-8, 0),
    "an end before its beginning": offsets(8, 0),
    "a shape of 10^18": shape(10**9, 10**9),
    "a shape below 0": shape(-1, 4),
    "a shape beyond 64 bits": shape(2**62, 2**62),
    "no header of this software": header(lambda table: table.pop("__metadata__")),
    "a header of other kind": header(lambda table: table.update(__metadata__={"bids_spectsynth": "[1]"})),
    "a nested header": header(lambda table: table.update(__metadata__={"bids_spectsynth": "[" * 100_000})),
    "a type that is unknown": header(lambda table: [one.update(dtype="Q7") for n, one in table.items() if n[0] != "_"]),
    "a pickle for weights": planted(WEIGHTS),
    "pickles beside no weights": planted("model.pt", "model.pkl", "pytorch_model.bin", "model.safetensors.pt"),
    "a pickle for a card": planted(CARD, remove=False),
    "a pickle for an ensemble": planted(ENSEMBLE, remove=False),
    "weights that are a folder": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()),
    "links that lead to themselves": linked,
    "a card that is a pipe": pipe(CARD),
    "a card that is a folder": lambda f: ((f / CARD).unlink(), (f / CARD).mkdir()),
    "a card of 0 bytes": raw(b"", CARD),
    "a card that is a list": raw(b"[]", CARD),
    "a card nested too deeply": raw(b'{"format_version": 1, "a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", CARD),
    "a card that is no text": raw(b"\xff\xfe\x00", CARD),
    "a card of a newer version": card(format_version=10**6),
    "a card of version 0": card(format_version=0),
    "a card of version list": card(format_version=[1]),
    "a card without version": card(format_version=None),
    "a label that leads out": card(label="../../../evil"),
    "an absolute label": card(label="/tmp/evil"),
    "a label of control characters": card(label="\x1b[2J\x07"),
    "a label of HTML": card(label="<script>alert(1)</script>"),
    "a label of 10^6 characters": card(label="a" * 10**6),
    "a label that is reserved": card(label="preproc"),
    "an input that leads out": card(inputs=["T1w", "../pet"]),
    "an input of HTML": card(inputs=["T1w", "<img src=x>"]),
    "10^5 inputs": card(inputs=[f"a{n}" for n in range(100_000)]),
    "a space that leads out": card(space="../../tpl"),
    "a network of 10^9 filters": card(architecture={"levels": 5, "base_filters": 10**9, "input_channels": 2,
                                                    "output_channels": 1}),
    "a network of 1024 filters and 12 levels": card(architecture={"levels": 12, "base_filters": 1024,
                                                                  "input_channels": 2, "output_channels": 1}),
    "a grid of 10^15 voxels": card(grid_shape=[10**5] * 3),
    "voxels of NaN": card(voxel_size=float("nan")),
    "a mean of infinity": card(target_statistics={"mean_in_brain": float("inf")}),
    "an orientation that is unknown": card(config={"orientation": "../x"}),
    "a seed that is an object": card(config={"seed": {"a": 1}}),
    "a prior that is not there": card(config={"cohort_prior": "channel"}),
    "a member that leads out": member("../model"),
    "an absolute member": member("/etc"),
    "a member by a dot": member("."),
    "a member of no name": member(""),
    "a member with a zero byte": member("fold\x00"),
    "a member of 10^5 characters": member("f" * 10**5),
    "a member of bytes that are no text": member("fold\ud800"),
    "a member that is no object": ensemble(["fold-1"]),
    "members that are a number": ensemble(3),
    "no members": ensemble([]),
    "a member twice": ensemble([{"folder": "fold-1", "fold": 1}] * 2),
    "10^5 members": ensemble([{"folder": "fold-1", "fold": 1}] * 10**5),
    "a fold of infinity": member("fold-1", float("inf")),
    "a fold of 10^400": member("fold-1", 10**400),
    "an ensemble of itself": itself,
    "an ensemble that is a pipe": pipe(ENSEMBLE),
    "an ensemble nested too deeply": raw(b'{"a":' * 200_000, ENSEMBLE),
    "an ensemble of a newer version": ensemble([], version=9),
    "an ensemble of a version that is text": ensemble([], version="x"),
    "an ensemble of HTML": ensemble([{"folder": "fold-1", "fold": 1}], label="<b>x</b>"),
}  # fmt: skip


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _load(folder: Path) -> None:
    for one in load_members(folder):
        load_model(one.folder, "cpu", one.card)


@pytest.mark.parametrize("kind", KINDS)
def test_load__hostile_folder(tmp_path: Path, record_property: Callable[[str, object], None], kind: str) -> None:
    record_property("tried", "hostile model folders: weights, headers, pickles, cards, ensembles")
    folder = tmp_path / "model"
    make_model(folder)
    KINDS[kind](folder)
    before = _tree(tmp_path)
    with at_most(20), memory(1000), pytest.raises(ModelError) as caught:
        _load(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 4000
    assert "model" in message
    assert _tree(tmp_path) == before, "nothing is executed or written"
    record_property("seen", "one line of exit code 5; nothing executed, written or asked of the memory")


def test_load__pickles_beside_a_sound_model_are_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_model(folder)
    planted("model.pt", "model.pkl", "baselines.pkl", remove=False)(folder)
    load_model(folder, "cpu")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "kind", ["NaN", "a pickle for weights", "a label of HTML", "an ensemble of itself", "a card nested too deeply"]
)
def test_run__hostile_folder(
    finished: Any, tmp_path: Path, record_property: Callable[[str, object], None], kind: str
) -> None:
    record_property("tried", "hostile model folders through the program")
    folder = tmp_path / "model"
    make_model(folder)
    KINDS[kind](folder)
    app = finished.copy(tmp_path)
    before = {name for name in app.files() if not name.startswith(("logs/", "sub-", "."))}
    result = app("--mode", "apply", "--model", str(folder), "--siscom", "off")
    assert result.code == ExitCode.MODEL, result.err
    assert len(result.errors) == 1
    assert "Traceback" not in result.err
    assert not (tmp_path / "executed").exists()
    assert {name for name in app.files() if not name.startswith(("logs/", "sub-", "."))} == before
    record_property("seen", "one line, exit code 5")
