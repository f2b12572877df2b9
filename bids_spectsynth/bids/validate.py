"""Validation by the schema validator with the SPECT extension, as a subprocess; nothing is fetched from a network."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bids_spectsynth.bids.access import is_special, is_text, odd_entries
from bids_spectsynth.bids.dataset import NOT_IN_STANDARD
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.schema import shipped_schema
from bids_spectsynth.errors import DatasetError

PROGRAM = "bids-validator-deno"
#: Folders at the root that BIDS leaves to their owners: the validator would walk them and say nothing.
OPAQUE = frozenset({"sourcedata", "derivatives", "code", "docs"})
#: Lines of a ``.bidsignore`` that hide from other validators what the extended schema does know.
_SPECT_LINES = frozenset({*NOT_IN_STANDARD, "spect", "spect/", "**/spect/", "**/spect/**", "*_spect.*"})
_SHOWN_ERRORS = 5
#: What a code says of the key behind its colon, where the validator's own message describes the key instead.
_KEY_CODES = {
    "SIDECAR_KEY_REQUIRED": "is missing from the sidecar",
    "SIDECAR_KEY_RECOMMENDED": "is recommended and missing from the sidecar",
    "JSON_KEY_REQUIRED": "is missing",
    "JSON_KEY_RECOMMENDED": "is recommended and missing",
}
#: SPECT has a task, ictal or interictal, in which nobody does anything: there are no events.
_NO_EVENTS = re.compile(r"_(spect|pet)\.[^/]*$")


@dataclass(frozen=True)
class ValidationIssue:
    """One finding of the validator.

    Parameters
    ----------
    severity : {'error', 'warning'}
    file : str
        Path from the root of the dataset, with a leading slash; empty where the whole dataset is meant.
    code : str
        E.g. ``SIDECAR_KEY_REQUIRED``, with the key after a colon where there is one.
    message : str
        One line.
    """

    severity: Literal["error", "warning"]
    file: str
    code: str
    message: str

    @property
    def participant(self) -> str:
        """``sub-01`` where the file lies in a participant's folder, else empty."""
        top = self.file.lstrip("/").split("/")[0]
        return top if top.startswith("sub-") and "/" in self.file.lstrip("/") else ""

    @property
    def meaning(self) -> str:
        """What is wrong, in words, with the code behind them."""
        code, _, key = self.code.partition(":")
        words = f"{key} {_KEY_CODES[code]}" if key and code in _KEY_CODES else self.message.rstrip(". -")
        return f"{words} ({code})" if words else self.code

    def __str__(self) -> str:
        return f"{self.file or 'dataset'}: {self.meaning}"


def validate_dataset(
    folder: Path, *, participants: Sequence[str] = (), schema: Literal["spect", "standard"] = "spect"
) -> list[ValidationIssue]:
    """Findings of ``bids-validator-deno`` on a raw or derivative dataset.

    With the extended schema the lines of ``.bidsignore`` that hide SPECT from other validators are set aside, so that
    SPECT is really checked. Every other line is followed.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    participants : sequence of str
        Check only these (labels with or without ``sub-``) and the files at the root; empty for all.
    schema : {'spect', 'standard'}
        The shipped schema that knows SPECT, or the validator's own with ``.bidsignore`` as it stands.

    Raises
    ------
    DatasetError
        The validator is not installed or did not run.
    """
    chosen = {f"sub-{bare_label(label, 'sub')}" for label in participants}
    with tempfile.TemporaryDirectory(prefix="bids_spectsynth-validate-") as name:
        mirror = Path(name) / "dataset"
        _mirror(folder.resolve(), mirror, chosen, show_spect=schema == "spect")
        options = []
        if schema == "spect":
            schema_file = Path(name) / "schema.json"
            schema_file.write_bytes(shipped_schema())
            options = ["--schema", schema_file.as_uri()]
        content = _run_validator(mirror, options)
    issues = _parse(content)
    # A list of participants that names more people than were looked at is no fault of the dataset.
    return [i for i in issues if not (chosen and i.code.startswith("PARTICIPANT_ID_MISMATCH")) and not _of_own_task(i)]


def _of_own_task(issue: ValidationIssue) -> bool:
    return issue.code.startswith("EVENTS_TSV_MISSING") and _NO_EVENTS.search(issue.file) is not None


def _mirror(folder: Path, mirror: Path, chosen: set[str], *, show_spect: bool) -> None:
    """Links to the parts of a dataset that are to be checked; the validator has no option to leave out folders."""
    mirror.mkdir()
    ignore = folder / ".bidsignore"
    lines = ignore.read_text(encoding="utf-8", errors="replace").splitlines() if ignore.is_file() else []
    kept = [line.strip() for line in lines if not (show_spect and line.strip() in _SPECT_LINES)]
    (mirror / ".bidsignore").write_text("\n".join(kept) + "\n", encoding="utf-8")
    ignored = {line.strip("/") for line in kept}
    for path in folder.iterdir():
        other_subject = bool(chosen) and path.name.startswith("sub-") and path.is_dir() and path.name not in chosen
        if path.name not in {*OPAQUE, *ignored, ".bidsignore"} and not other_subject:
            _link(path, mirror / path.name)


def _link(path: Path, link: Path) -> None:
    """A link to what the validator can walk; a folder with something in it that would stop it is taken apart."""
    odd = set(odd_entries(path)) if path.is_dir() else set()
    if not is_text(path.name) or path in odd or is_special(path):
        return
    if not odd:
        link.symlink_to(path)
        return
    link.mkdir()
    for inner in path.iterdir():
        if inner not in odd:
            _link(inner, link / inner.name)


def find_validator() -> Path:
    """The validator's console script: beside this Python, or on PATH.

    Raises
    ------
    DatasetError
        It is in neither place.
    """
    beside = Path(sys.executable).parent / PROGRAM
    found = str(beside) if beside.is_file() else shutil.which(PROGRAM)
    if found is None:
        raise DatasetError(f"{PROGRAM}: not found; run 'pip install {PROGRAM}' or use --skip-bids-validation")
    return Path(found)


def _run_validator(folder: Path, options: Sequence[str]) -> dict[str, Any]:
    command = [str(find_validator()), str(folder), "--format", "json", *options]
    environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603
    except OSError as error:
        raise DatasetError(f"{command[0]}: cannot run it ({error.strerror}); use --skip-bids-validation") from error
    text = done.stdout.decode("utf-8", errors="replace")
    try:
        content = json.loads(text[text.index("{") :])
    except ValueError as error:
        last = done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-1:]
        reason = last[0] if last else f"exit code {done.returncode}"
        raise DatasetError(f"{PROGRAM}: gave no result ({reason}); use --skip-bids-validation") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{PROGRAM}: gave no result; use --skip-bids-validation")
    return content


def _parse(content: dict[str, Any]) -> list[ValidationIssue]:
    found = content.get("issues", {})
    issues = []
    for entry in found.get("issues", []):
        severity = entry.get("severity")
        if severity not in ("error", "warning"):
            continue
        code = ":".join(str(entry[key]) for key in ("code", "subCode") if entry.get(key))
        message = entry.get("issueMessage") or found.get("codeMessages", {}).get(entry.get("code"), "")
        issues.append(ValidationIssue(severity, entry.get("location", ""), code, _first_line(str(message))))
    return issues


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].removeprefix("Field description:").strip() if lines else ""


def raise_on_errors(issues: Iterable[ValidationIssue], folder: Path) -> None:
    """Stop where the dataset as a whole is not valid.

    Errors in one participant's files do not count (:func:`participant_lines`): an image that cannot be used fails its
    own participant when it is read, and need not stop the others.

    Raises
    ------
    DatasetError
        One line with the number of errors, the first five, and how to go on regardless.
    """
    errors = [issue for issue in issues if issue.severity == "error" and not issue.participant]
    if errors:
        shown = "; ".join(map(str, errors[:_SHOWN_ERRORS]))
        more = "; ..." if len(errors) > _SHOWN_ERRORS else ""
        raise DatasetError(
            f"{folder}: not valid BIDS, {len(errors)} error(s): {shown}{more} "
            "(correct them, or use --skip-bids-validation)"
        )


def participant_lines(issues: Iterable[ValidationIssue]) -> list[str]:
    """One line for each participant with errors: how many, and the first."""
    errors: dict[str, list[ValidationIssue]] = {}
    for issue in issues:
        if issue.severity == "error" and issue.participant:
            errors.setdefault(issue.participant, []).append(issue)
    return [
        f"{name}: not valid BIDS, {len(own)} error(s), the first: {own[0]}; goes on all the same"
        for name, own in sorted(errors.items())
    ]


def check_dataset(folder: Path, *, participants: Sequence[str] = ()) -> list[str]:
    """Validate an input dataset.

    Returns
    -------
    list of str
        One line for each participant whose files have errors, then one per kind of warning; keys that are missing
        and only recommended are of one kind, whichever they are.

    Raises
    ------
    DatasetError
        The dataset as a whole is not valid, or the validator did not run.
    """
    issues = validate_dataset(folder, participants=participants)
    raise_on_errors(issues, folder)
    kinds: dict[str, list[ValidationIssue]] = {}
    for issue in issues:
        if issue.severity == "warning":
            kinds.setdefault(_kind(issue), []).append(issue)
    return participant_lines(issues) + [
        f"validator: {found[0]}" + (f", and {len(found) - 1} more of this kind" if len(found) > 1 else "")
        for found in sorted(kinds.values(), key=len, reverse=True)
    ]


def _kind(issue: ValidationIssue) -> str:
    code, _, _ = issue.code.partition(":")
    return code if code.endswith("_RECOMMENDED") else issue.code
