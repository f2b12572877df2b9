"""A small synthetic output folder: ellipsoid brains on a grid of 4 mm, written with the package's own writers."""

import dataclasses
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.names import output_path
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.writing import write_image, write_json, write_matrix, write_table
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import METHODS
from bids_spectsynth.preprocess.templates.templates import Template
from bids_spectsynth.reports import html
from bids_spectsynth.reports.pictures import reportlets
from bids_spectsynth.reports.scripts import as_script
from bids_spectsynth.reports.subject import images as subject_images
from bids_spectsynth.reports.subject import metrics as subject_metrics
from bids_spectsynth.reports.viewer.script import script
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.training.config import TrainingConfig

TEMPLATES = Path(html.__file__).with_name("templates")
SHAPE = (64, 64, 48)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = [-126.0, -126.0, -94.0]
VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"))


def brain() -> np.ndarray:
    """Ellipsoid of 140 x 170 x 120 mm with a dent on the right, so that left and right differ."""
    i, j, k = np.indices(SHAPE)
    inside = ((i - 31.5) / 17.5) ** 2 + ((j - 31.5) / 21.0) ** 2 + ((k - 23.5) / 15.0) ** 2 < 1
    return inside & ~((i > 42) & (j > 34))


def uptake(seed: int) -> np.ndarray:
    """A positive image inside the brain with structure and noise."""
    i, j, k = np.indices(SHAPE)
    wave = 1.5 + np.sin(i / 4) * np.cos(j / 5) + 0.3 * np.sin(k / 3)
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    return np.where(brain(), np.maximum(wave + 0.05 * noise, 0.05), 0).astype(np.float32)


def write_case(out: Path, participant: str, session: str | None = None, *, poor: bool = False) -> None:
    """Prepared T1w, PET and interictal SPECT with their registrations."""
    raw = f"bids:raw:sub-{participant}"
    common = {"Backend": "embedded", "Tools": {"SimpleITK": "2.5.0", "deepbet": "1.0.2"}, "SkullStripped": True}
    spect = {"task": "interictal", "trc": "HMPAO"}
    for number, (datatype, entities, suffix) in enumerate(
        (("anat", {}, "T1w"), ("pet", {"trc": "FDG"}, "pet"), ("spect", spect, "spect"))
    ):
        name = output_path(
            out, participant, session, datatype, {**entities, "space": "T1w", "desc": "preproc"}, suffix, ".nii.gz"
        )
        image = nib.Nifti1Image(uptake(number) * 10 ** (3 - number), AFFINE)
        write_image(
            name, image, {**common, "Sources": [f"{raw}/{datatype}/{suffix}.nii.gz"], "SourceReason": "the only one"}
        )
        mask = output_path(
            out, participant, session, datatype, {**entities, "space": "T1w", "desc": "brain"}, "mask", ".nii.gz"
        )
        write_image(mask, nib.Nifti1Image(brain().astype(np.uint8), AFFINE), {"Type": "Brain"})
    for datatype, entities, suffix in (("pet", {"trc": "FDG"}, "pet"), ("spect", spect, "spect")):
        for start, end in ((suffix, "T1w"), ("T1w", suffix)):
            write_xfm(
                out,
                participant,
                session,
                datatype,
                {**entities, "from": start, "to": end},
                poor=poor and suffix == "pet",
            )
    for start, end in (("T1w", "MNI152NLin2009aSym"), ("MNI152NLin2009aSym", "T1w")):
        write_xfm(out, participant, session, "anat", {"from": start, "to": end}, kind="affine")


def write_xfm(
    out: Path,
    participant: str,
    session: str | None,
    datatype: str,
    entities: dict[str, str],
    *,
    kind: str = "rigid",
    poor: bool = False,
    overlap: float | None = None,
    case: str | None = None,
) -> None:
    """One direction of a transform with its sidecar."""
    path = output_path(out, participant, session, datatype, {**entities, "mode": "image"}, "xfm", ".txt")
    overlap = overlap if overlap is not None else (0.42 if poor else 0.93)
    content = {
        "Type": kind,
        "Metric": "Mattes mutual information",
        "Score": 0.71,
        "Overlap": overlap,
        "Poor": poor,
        "Notes": ["looks upside down"] if poor else [],
        "Tools": {"SimpleITK": "2.5.0"},
        **({"Case": case} if case else {}),
    }
    write_matrix(path, np.eye(4), content)


def write_ictal(out: Path, participant: str, session: str | None, own: dict[str, str], *, case: str | None) -> None:
    """A prepared ictal SPECT with its registration, of a case that may be another session's."""
    entities = {"task": "ictal", **own}
    facts = {"SkullStripped": True, "Sources": ["bids:raw:ictal.nii.gz"], **({"Case": case} if case else {})}
    kept = {**entities, "space": "T1w", "desc": "preproc"}
    path = output_path(out, participant, session, "spect", kept, "spect", ".nii.gz")
    write_image(path, nib.Nifti1Image(uptake(9), AFFINE), facts)
    for start, end in (("spect", "T1w"), ("T1w", "spect")):
        write_xfm(out, participant, session, "spect", {**entities, "from": start, "to": end}, case=case)


def write_synthetic(
    out: Path, participant: str, model: str, split: str, *, session: str | None = None, error: float = 0.1
) -> None:
    """A synthetic image and its metrics; ``error`` is the model's in-brain RMSE, its baselines have 0.2 and more."""
    entities = {"task": "interictal", "space": "T1w", "desc": model}
    path = output_path(out, participant, session, "spect", entities, "spect", ".nii.gz")
    source = output_path(
        out, participant, session, "pet", {"trc": "FDG", "space": "T1w", "desc": "preproc"}, "pet", ".nii.gz"
    )
    content = {
        "Synthetic": True,
        "ModelTrainedOnPhantom": True,
        "Units": "counts",
        "Sources": [f"bids::{source.relative_to(out).as_posix()}"],
    }
    write_image(path, nib.Nifti1Image(uptake(9) * 3, AFFINE), content)
    who = {
        "participant_id": f"sub-{participant}",
        "session_id": f"ses-{session}" if session else "n/a",
        "model": model,
        "configuration": model,
        "seed": 1,
        "inputs": "T1w" if model == "pix2pixT1w" else "pet",
        "space": "T1w",
        "scaling": "slice",
        "losses": "L1+BCE",
        "recipe": "fard2024",
        "training": "0a1b2c3d",
        "scale": "slice",
        "split": split,
        "data_range": 2.0,
    }
    rows = []
    for number, method in enumerate(METHODS):
        for k in range(18, 28):
            rmse = error if number == 0 else 0.15 + 0.05 * number
            rmse *= 1 + 0.1 * np.sin(k + number + int(participant, 36) + 9 * error)
            own = {"rmse": rmse / 2, "ssim": 1 - rmse, "psnr": 20 * np.log10(4 / rmse)}
            metrics = dict.fromkeys(METRICS, rmse) | own
            in_brain = {"mask_rmse": rmse, "mask_ssim": 1 - 2 * rmse, "mask_psnr": 20 * np.log10(2 / rmse)}
            z = AFFINE[2, 2] * k + AFFINE[2, 3]
            place = {"slice": k, "z_mm": z, "in_block": "true", "mask_voxels": 500, "block_position": k - 18}
            rows.append({**who, "method": method, **place, **metrics, **in_brain})
        # Beyond the block: an error that no mean may count.
        beyond = {"slice": 28, "z_mm": 18.0, "in_block": "false", "block_position": "n/a"}
        rows.append({**rows[-1], **beyond, "mask_rmse": 1.9, "rmse": 1.9})
    write_table(
        path.with_name(path.name.replace("_spect.nii.gz", "_metrics.tsv")), pd.DataFrame(rows), slice_dictionary()
    )


def card(label: str) -> dict[str, object]:
    """Content of ``model.json`` as training writes it."""
    config = TrainingConfig(label=label, inputs=("pet",), voxel_size=4.0, slices_per_subject=10, epochs=50)
    return dataclasses.asdict(
        ModelCard(
            label=label,
            inputs=("pet",),
            target="interictal",
            space="T1w",
            voxel_size=4.0,
            grid_shape=SHAPE,
            scaling="slice",
            architecture={"levels": 6, "base_filters": 64, "input_channels": 1, "output_channels": 1},
            losses={"adversarial": 1.0, "l1": 100.0, "ssim": 0.0},
            training={"participants": 30, "epochs": 50, "best_epoch": 42},
            versions={"bids_spectsynth": "9.8.7", "torch": "2.0", "python": "3.11"},
            target_statistics={"mean_in_brain": 1.0, "units": "counts"},
            validation={"rmse": 0.1234, "ssim": 0.9876},
            config=config.as_json(),
            salt="00",
            participants=(),
            selection_participants=(),
            weights_sha256="0" * 64,
            created="2025-01-01T00:00:00+00:00",
            phantom=True,
        )
    )


def describe(out: Path, **extra: object) -> None:
    """The output's ``dataset_description.json``."""
    write_json(
        out / "dataset_description.json",
        {
            "Name": "x",
            "BIDSVersion": "1.10.1",
            "GeneratedBy": [{"Name": "bids_spectsynth", "Version": "9.8.7"}],
            **extra,
        },
    )


@pytest.fixture(scope="session")
def full_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One participant with everything (01), one that was skipped (02). Not to be changed by tests."""
    out = tmp_path_factory.mktemp("reports") / "out"
    describe(out)
    write_case(out, "01")
    write_synthetic(out, "01", "pix2pixPet", "test")
    write_json(out / "models" / "pix2pixPet" / "model.json", card("pix2pixPet"))
    update_participants(
        out,
        {
            "01": {"split": "test", "status": "ok", "reason": ""},
            "02": {"status": "skipped", "reason": "no PET <script>alert(1)</script> & more"},
        },
    )
    logs = out / "logs" / "20250101T000000Z-participant-1"
    logs.mkdir(parents=True)
    (logs / "settings.toml").write_text('voxel_size = 4.0\nbids_dir = "/data/<b>raw"\n')
    (logs / "sub-02.log").write_text("find: skipped: no PET\n")
    return out


@pytest.fixture
def tree(full_tree: Path, tmp_path: Path) -> Path:
    """A copy of the full tree that a test may damage."""
    return Path(shutil.copytree(full_tree, tmp_path / "out"))


@dataclass(eq=False)
class Parsed(HTMLParser):
    """What a test asks of a report: elements, loads, links, text; open elements must be closed in order."""

    sources: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    styles: str = ""
    scripts: list[str] = field(default_factory=list)
    runs: bool = False
    policy: str = ""
    text: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.runs = dict(attrs).get("type") not in ("application/json", "application/gzip")
            assert not (self.runs and attrs)
            self.scripts += [""] * self.runs
        if tag == "meta" and ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy += dict(attrs)["content"] or ""
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"event handler {name}"
            if name in ("src", "srcset", "data", "poster", "background"):
                self.sources.append(value or "")
            elif name == "href":
                assert tag == "a", f"{tag} loads {value}"
                self.links.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            elif name == "title":
                self.titles.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without a start"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles += data
        elif self._open and self._open[-1] == "script":
            if self.runs:
                self.scripts[-1] += data
        else:
            self.text += data

    def finish(self) -> "Parsed":
        """End of input: nothing may be left open."""
        self.close()
        assert not self._open
        self.text = re.sub(r"\s+", " ", self.text)
        return self


def parse(text: str) -> Parsed:
    """Parse a report and check what holds for every report: no scripts but ours, nothing loaded from elsewhere."""
    parsed = Parsed()
    parsed.feed(text)
    parsed.finish()
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    ours = {path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.js")} | {script()}
    assert set(parsed.scripts) <= ours
    assert all(as_script(one, "").source in parsed.policy for one in parsed.scripts)
    assert "unsafe" not in parsed.policy.removeprefix("default-src 'none'; ").replace("style-src 'unsafe-inline'", "")
    others = [one for one in parsed.sources if not re.fullmatch(r"figures/participants/sub-\w+\.webp", one)]
    assert all(source.startswith(("data:image/svg+xml,", "data:image/webp;base64,")) for source in others)
    assert "url(" not in parsed.styles
    assert "@import" not in parsed.styles
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(link.removeprefix("#") in parsed.ids for link in parsed.links if link.startswith("#"))
    return parsed


@pytest.fixture(name="parse")
def parse_fixture():
    """The function :func:`parse`."""
    return parse


@pytest.fixture(scope="session")
def write() -> SimpleNamespace:
    """The writers of this file, for tests that build their own tree."""
    return SimpleNamespace(
        case=write_case, synthetic=write_synthetic, ictal=write_ictal, xfm=write_xfm, describe=describe, card=card
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pictures in place of drawn ones, for tests of the text; images are read all the same."""
    for name in ("mask_outline", "registration", "template_outline", "synthesis_at_a_glance"):
        monkeypatch.setattr(reportlets, name, lambda *_: b"picture")
    monkeypatch.setattr(reportlets, "synthesis", lambda *_: (b"picture", reportlets.Comparison(1.5, 0.4, 0.1)))
    monkeypatch.setattr(subject_metrics, "metric_lines", lambda *_: "<svg/>")
    mask = nib.Nifti1Image(brain().astype(np.uint8), AFFINE)
    monkeypatch.setattr(subject_images, "fetch_template", lambda name: Template(name, mask, mask, "a test"))
