"""Words that identify somebody, planted in every field of every input: none of them is in any output."""

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

#: Every word that is planted begins so; what follows says where it was. Four letters alone are met by chance in the
#: images that a page holds as text: in one page of some twenty.
MARK = "Zyxwqvk"
#: Of folders above the dataset and the output.
PLACE = "Qjdoexkw"
#: Whose header is fine and whose voxels are cut off: steps fail on it, and leave crash files.
DAMAGED = "04"


def word(where: str) -> str:
    return MARK + re.sub(r"[^A-Za-z0-9]", "", where)


def planted_header(path: Path) -> None:
    image = nib.load(path)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = word(field)[:10].encode()
    for code in (2, 4, 6):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, word(f"ext{code}").encode()))
    nib.save(image, path)


PERSONAL = ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "InstitutionAddress", "StationName",
            "DeviceSerialNumber", "SeriesDescription", "ProtocolName", "AcquisitionTime", "OperatorsName")  # fmt: skip
#: What sidecars of real scanners hold, and what a key that may leave must not carry.
SIDECAR = {
    **{key: word(key) for key in PERSONAL},
    "AttenuationCorrection": {"PatientName": word("nested")},
    "ReconMethodName": [word("list")],
    "Units": f"{word('caret')}^John",
    "MagneticFieldStrength": word("number"),
    "ImageDecayCorrected": word("truth"),
    "NonlinearGradientCorrection": word("truth2"),
    "global": {"const": {"PatientName": word("deep")}},
    "TracerName": "HMPAO for " + word("long") * 20,
    **dict.fromkeys(("InjectionStart", "SeizureOnset", "SeizureDuration"), word("injection")),
}


def plant(bids_dir: Path) -> None:
    description = json.loads((bids_dir / "dataset_description.json").read_text())
    more = ("Name", "Acknowledgements", "HowToAcknowledge", "DatasetDOI", "EthicsApprovals")
    description |= {key: word(key) for key in more} | {"Authors": [word("Authors")], "License": word("License") * 20}
    (bids_dir / "dataset_description.json").write_text(json.dumps(description))
    (bids_dir / "README").write_text(word("README") * 20)
    labels = sorted(path.name for path in bids_dir.glob("sub-*"))
    rows = [f"{label}\t{word('name')}\t1970-01-01{MARK}\n" for label in labels]
    (bids_dir / "participants.tsv").write_text("participant_id\tname\tbirth\n" + "".join(rows))
    (bids_dir / "participants.json").write_text(json.dumps({"name": {"Description": word("dictionary")}}))
    for folder in bids_dir.glob("sub-*"):
        scans = "\n".join(
            path.relative_to(folder).as_posix() + f"\t{word('scan')}" for path in folder.rglob("*.nii.gz")
        )
        (folder / f"{folder.name}_scans.tsv").write_text(f"filename\toperator\n{scans}\n")
        for path in folder.rglob("*.nii.gz"):
            planted_header(path)
            sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
            sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | SIDECAR))


def content_of(path: Path) -> Iterator[bytes]:
    """A file, what it holds packed, and the images that a page holds as text."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    for found in re.findall(rb"base64,([A-Za-z0-9+/=]+)", data):
        inner = base64.b64decode(found)
        yield gzip.decompress(inner) if inner.startswith(b"\x1f\x8b") else inner


def leaks(folder: Path, mark: str, without: str = "") -> set[str]:
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or (without and name.startswith(without)):
            continue
        for data in content_of(path):
            found |= {f"{name}: {hit.decode()}" for hit in re.findall(mark.encode() + rb"[A-Za-z0-9]*", data)}
    return found


@pytest.fixture(scope="module")
def planted(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The app after both levels on a planted dataset, with the model of another place, whose card is planted too."""
    home = tmp_path_factory.mktemp("planted") / PLACE
    shutil.copytree(finished.bids_dir, home / "data", ignore=shutil.ignore_patterns("sub-03", "sub-05", "sub-06"))
    plant(home / "data")
    damaged = next((home / "data" / f"sub-{DAMAGED}").glob("anat/*_T1w.nii.gz"))
    damaged.write_bytes(damaged.read_bytes()[:3000])
    model = home / "model"
    shutil.copytree(finished.output_dir / "models" / "pix2pixT1w", model)
    card = json.loads((model / "model.json").read_text())
    card |= {key: word(key) + "^" for key in ("statement", "licence", "created")}
    card["versions"] = {"torch": word("versions")}
    card["training"] = {**card["training"], "cohort": word("training")}
    card["target_statistics"] = {**card["target_statistics"], "units": word("units") + " 1970-01-31"}
    card["config"] = {**card["config"], "owner": word("config")}
    card["notes"] = word("notes")
    (model / "model.json").write_text(json.dumps(card))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("USER", word("USER"))
        app = finished.__class__(home / "data", home / "out", reports=True)
        result = app("--model", str(model))
        assert result.code == 1, result.err
        group = app(level="group")
        assert group.code == 0, group.err
    assert not re.search(MARK, result.err + group.err)
    return app


def test_outputs__hold_no_planted_word(planted: Any) -> None:
    assert leaks(planted.output_dir, MARK) == set()


def test_outputs__do_not_say_where_they_were_made(planted: Any) -> None:
    # The work folder holds the paths of what is worked on, and is not to be shared.
    assert leaks(planted.output_dir, PLACE, without="work/") == set()


def test_planted_run__left_what_a_failure_leaves(planted: Any) -> None:
    assert list(planted.output_dir.glob("logs/*/crash-*"))
    assert planted.participants()[f"sub-{DAMAGED}"]["status"] == "failed"
