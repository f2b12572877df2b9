"""Which stages the participant level has, and what they refuse."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bids_spectsynth.app import participant
from bids_spectsynth.app.participant import STAGES, check_trainable
from bids_spectsynth.app.stages import Context
from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.dicom.export import participant as dicom_export
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.preprocess.workflow import build


def settings(**values: Any) -> Settings:
    return make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ["find", "preprocess", "quality", "train", "synthesise", "evaluate", "siscom", "report"]),
        ({"model": "/models/m"}, ["find", "preprocess", "quality", "synthesise", "evaluate", "siscom", "report"]),
        ({"mode": "preprocess"}, ["find", "preprocess", "quality", "siscom", "report"]),
        ({"mode": "train"}, ["quality", "train"]),
        (
            {"mode": "preprocess", "export": ["dicom"]},
            ["find", "preprocess", "quality", "siscom", "export", "report"],
        ),
        ({"mode": "preprocess", "siscom": "off"}, ["find", "preprocess", "quality", "report"]),
        ({"mode": "apply"}, ["find", "preprocess", "quality", "synthesise", "evaluate", "siscom", "report"]),
    ],
)
def test_stages__mode_decides_which_apply(values: dict[str, Any], names: list[str]) -> None:
    chosen = settings(**values)
    assert [stage.name for stage in STAGES if stage.applies(chosen)] == names


def test_stages__names_are_unique_and_two_are_shared_by_processes() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    assert [stage.name for stage in STAGES if stage.shared] == ["quality", "train"]
    assert [stage.name for stage in STAGES if stage.only_reads] == ["find"]


@pytest.mark.parametrize(
    ("values", "refused"), [({}, True), ({"model": "/models/m"}, False), ({"mode": "apply"}, False)]
)
def test_check_trainable__too_few_to_split(values: dict[str, Any], refused: bool) -> None:
    roles = ("T1w", "pet", "interictal")
    images = {role: SourceImage(f"/data/{role}", role, {}, {}, "only") for role in roles}  # type: ignore[arg-type]
    context = Context(settings(**values), cases=[Case("01", None, images, ())])
    if refused:
        with pytest.raises(ModelError, match="participant"):
            check_trainable(context)
    else:
        check_trainable(context)


def test_check_trainable__nobody_found_is_another_stages_matter() -> None:
    check_trainable(Context(settings()))


def test_export__cases_of_the_run_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def export_case(case: Any, request: dicom_export.Request) -> Outcome:
        calls.append((case.name, request))
        return Outcome(case.participant, None, "export", "ok")

    monkeypatch.setattr(dicom_export, "export_case", export_case)
    prepared = [SimpleNamespace(name=f"sub-{label}", participant=label) for label in ("01", "02")]
    monkeypatch.setattr(participant, "find_prepared", lambda *_: prepared)
    chosen = settings(export=["dicom"], dicom_class="MR", dicom_donor="/donor", force=True)
    context = Context(chosen, cases=[Case(label, None, {}, ()) for label in ("02", "03")])
    (stage,) = [stage for stage in STAGES if stage.name == "export"]
    outcomes = list(stage.run(context))
    request = dicom_export.Request(output_dir=Path("/out"), dicom_class="MR", donor=Path("/donor"), force=True)
    assert calls == [("sub-02", request)]
    # What lies in the output folder of other runs is left alone; who has nothing in T1w space is told why.
    assert [(one.participant, one.status) for one in outcomes] == [("02", "ok"), ("03", "failed")]
    assert "add T1w to --output-spaces" in outcomes[1].reason


def test_stages__apply_prepares_also_whom_something_is_given_for(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []

    def prepare(cases: list[Case], *_: Any) -> list[Outcome]:
        prepared.extend(case.name for case in cases)
        return []

    monkeypatch.setattr(participant, "_unprepared", lambda cases, settings: cases[:1])
    monkeypatch.setattr(participant, "write_dataset_files", lambda *_: None)
    monkeypatch.setattr(build, "used_tools", lambda _: {})
    monkeypatch.setattr(build, "preprocess", prepare)
    mask = External(Path("/d/sub-03/anat/mask.nii.gz"), "d", Path("/d"))
    cases = [Case("01", None, {}), Case("02", None, {}), Case("03", None, {}, external={"T1w": mask})]
    (stage,) = (stage for stage in STAGES if stage.name == "preprocess")
    outcomes = list(stage.run(Context(settings(mode="apply"), cases=cases)))
    assert prepared == ["sub-01", "sub-03"]
    assert [outcome.participant for outcome in outcomes] == ["02"]


@pytest.mark.parametrize("name", ["space-T1w_desc-brain_mask", "from-pet_to-T1w_mode-image_xfm"])
def test_stages__apply_prepares_also_whose_file_is_not_given_any_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(cases: list[Case], *_: Any) -> list[Outcome]:
        return [Outcome(case.participant, None, "preprocess", "ok", "anew") for case in cases]

    monkeypatch.setattr(participant, "_unprepared", lambda cases, settings: [])
    monkeypatch.setattr(participant, "write_dataset_files", lambda *_: None)
    monkeypatch.setattr(build, "used_tools", lambda _: {})
    monkeypatch.setattr(build, "preprocess", prepare)
    for label in ("01", "02", "03"):
        folder = tmp_path / f"sub-{label}" / "anat"
        folder.mkdir(parents=True)
        for stem in ("space-T1w_desc-preproc_T1w", "space-T1w_desc-brain_mask"):
            (folder / f"sub-{label}_{stem}.nii.gz").touch()
        (folder / f"sub-{label}_from-pet_to-T1w_mode-image_xfm.txt").touch()
        content = {"01": "{}", "02": '{"ExternalSource": "bids:d:a"}', "03": '{"ExternalSource": "bids:d:b"}'}[label]
        (folder / f"sub-{label}_{name}.json").write_text(content)
    chosen = settings(mode="apply", output_dir=tmp_path)
    given = External(Path("/d/a"), "d", Path("/d"))
    cases = [Case("01", None, {}), Case("02", None, {}, external={"pet": given}), Case("03", None, {})]
    (stage,) = (stage for stage in STAGES if stage.name == "preprocess")
    outcomes = {one.participant: one.reason for one in stage.run(Context(chosen, cases=cases))}
    assert outcomes == {"01": "", "02": "anew", "03": "anew"}
