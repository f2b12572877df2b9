"""Labels of segmentations: which side, lobe and region a number or a name stands for.

FreeSurfer's numbers, the names of its regions, and those of CerebrA and of other tables meet in one vocabulary, so that
regions of different sources can be compared.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.errors import ImageError

#: Lobes that a parcellation of the cortex has, and one of the tissues or of the deep structures lacks.
CORTICAL_LOBES = frozenset({"frontal", "temporal", "parietal", "occipital"})

#: Lobe by a part of the region's name, in letters and digits alone; the first that fits counts.
_LOBES = (
    ("subcallosal", "frontal"), ("cingul", "cingulate"), ("parahippocamp", "temporal"), ("hippocamp", "temporal"),
    ("amygdala", "temporal"), ("entorhinal", "temporal"), ("fusiform", "temporal"), ("bankssts", "temporal"),
    ("triangularis", "frontal"), ("opercularis", "frontal"), ("orbit", "frontal"), ("precentral", "frontal"),
    ("paracentral", "frontal"), ("front", "frontal"), ("rectus", "frontal"), ("postcentral", "parietal"),
    ("supramarginal", "parietal"), ("precuneus", "parietal"), ("angular", "parietal"), ("pariet", "parietal"),
    ("cuneus", "occipital"), ("lingual", "occipital"), ("calcarine", "occipital"), ("occipit", "occipital"),
    ("insula", "insula"), ("heschl", "temporal"), ("temp", "temporal"), ("cerebell", "cerebellum"),
    ("cerebelum", "cerebellum"), ("vermis", "cerebellum"), ("vermal", "cerebellum"), ("brainstem", "brainstem"),
    ("midbrain", "brainstem"), ("pons", "brainstem"), ("medulla", "brainstem"), ("hypothalamus", "deep"),
    ("thalamus", "deep"), ("caudate", "deep"), ("putamen", "deep"), ("pallid", "deep"), ("accumbens", "deep"),
    ("ventraldc", "deep"), ("ventraldiencephalon", "deep"), ("basalforebrain", "deep"), ("substantianigra", "deep"),
)  # fmt: skip
#: Parts of names that stand for no region where no lobe does: nobody would look for a focus there by that name.
_NO_REGION = ("ventric", "latvent", "csf", "cerebrospinal", "choroid", "vessel", "intensit", "chiasm", "callos",
              "unknown", "background", "whitematter", "graymatter", "greymatter", "fornix", "lesion", "skull",
              "softtissue")  # fmt: skip
_SIDES = {"l": "L", "lh": "L", "left": "L", "r": "R", "rh": "R", "right": "R"}

#: Regions of Desikan and Killiany by FreeSurfer's number less 1000 (left) or 2000 (right); 4 is the corpus callosum.
_CORTEX = {
    1: "banks of the superior temporal sulcus", 2: "caudal anterior cingulate", 3: "caudal middle frontal",
    5: "cuneus", 6: "entorhinal", 7: "fusiform", 8: "inferior parietal", 9: "inferior temporal",
    10: "isthmus cingulate", 11: "lateral occipital", 12: "lateral orbitofrontal", 13: "lingual",
    14: "medial orbitofrontal", 15: "middle temporal", 16: "parahippocampal", 17: "paracentral",
    18: "pars opercularis", 19: "pars orbitalis", 20: "pars triangularis", 21: "pericalcarine", 22: "postcentral",
    23: "posterior cingulate", 24: "precentral", 25: "precuneus", 26: "rostral anterior cingulate",
    27: "rostral middle frontal", 28: "superior frontal", 29: "superior parietal", 30: "superior temporal",
    31: "supramarginal", 32: "frontal pole", 33: "temporal pole", 34: "transverse temporal", 35: "insula",
}  # fmt: skip
#: Structures by FreeSurfer's numbers, left and right.
_PAIRS = {
    (3, 42): "cerebral cortex", (7, 46): "cerebellum white matter", (8, 47): "cerebellum cortex",
    (10, 49): "thalamus", (11, 50): "caudate", (12, 51): "putamen", (13, 52): "pallidum", (17, 53): "hippocampus",
    (18, 54): "amygdala", (26, 58): "accumbens", (28, 60): "ventral diencephalon", (91, 92): "basal forebrain",
}  # fmt: skip
_MIDDLE = {16: "brainstem", 630: "vermis I-V", 631: "vermis VI-VII", 632: "vermis VIII-X"}
#: Other spellings of the same regions.
_SPELLINGS = {
    "bankssts": _CORTEX[1], "ventraldc": "ventral diencephalon", "accumbensarea": "accumbens",
    "thalamusproper": "thalamus", "cerebellumgraymatter": "cerebellum cortex", "cerebellumexterior":
    "cerebellum cortex", "vermallobulesiv": "vermis I-V", "vermallobulesvivii": "vermis VI-VII",
    "vermallobulesviiix": "vermis VIII-X", "cerebellarvermallobulesiv": "vermis I-V",
    "cerebellarvermallobulesvivii": "vermis VI-VII", "cerebellarvermallobulesviiix": "vermis VIII-X",
}  # fmt: skip
_INDEX_COLUMNS, _HEMISPHERE_COLUMNS = ("index", "label"), ("hemi", "hemisphere")


@dataclass(frozen=True)
class Label:
    """What a number of a segmentation stands for.

    Parameters
    ----------
    side : str
        ``L``, ``R``, or ``n/a`` where the label has no side.
    lobe : str
        As :class:`bids_spectsynth.siscom.records.Names` has it.
    region : str
        Without the side.
    """

    side: str
    lobe: str
    region: str


def label_of_name(name: str, hemisphere: str = "") -> Label | None:
    """What the name of a region stands for; None for what is none (ventricles, the cerebrum's white matter).

    Parameters
    ----------
    name : str
        As tables have it: ``ctx-lh-precentral``, ``Left-Hippocampus``, ``Superior Frontal``, ``Precentral_L``.
    hemisphere : str
        Side where a column of its own gives it; empty where the name does, if anything.

    Examples
    --------
    >>> label_of_name("ctx-lh-superiortemporal")
    Label(side='L', lobe='temporal', region='superior temporal')
    >>> label_of_name("Pars Triangularis", "R")
    Label(side='R', lobe='frontal', region='pars triangularis')
    >>> label_of_name("Left-Lateral-Ventricle") is None
    True
    """
    words = re.findall(r"[A-Za-z0-9]+", name)
    sides = [_SIDES[word.lower()] for word in (hemisphere, *words) if word.lower() in _SIDES]
    rest = [word for word in words if word.lower() not in (*_SIDES, "ctx")]
    plain = "".join(rest).lower()
    lobe = next((lobe for part, lobe in _LOBES if part in plain), "n/a")
    if not plain or (lobe == "n/a" and (plain.startswith("cc") or any(part in plain for part in _NO_REGION))):
        return None
    return Label(sides[0] if sides else "n/a", lobe, _KNOWN.get(plain, " ".join(rest)))


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


#: Our spelling of each region by its name in letters and digits alone.
_KNOWN = {_squeezed(name): name for name in (*_CORTEX.values(), *_PAIRS.values(), *_MIDDLE.values())} | _SPELLINGS


def freesurfer_labels() -> dict[int, Label]:
    """FreeSurfer's numbers, which FastSurfer and SynthSeg share: cortex, deep structures, cerebellum, brainstem.

    Cortical numbers are those of Desikan and Killiany and of the DKT protocol. What is no region is left out.
    """
    named = {number: (name, "") for number, name in _MIDDLE.items()}
    for (left, right), name in _PAIRS.items():
        named |= {left: (name, "L"), right: (name, "R")}
    for number, name in _CORTEX.items():
        named |= {1000 + number: (name, "L"), 2000 + number: (name, "R")}
    labels = {number: label_of_name(name, side) for number, (name, side) in named.items()}
    return {number: label for number, label in labels.items() if label is not None}


def read_label_table(path: Path) -> Mapping[int, Label]:
    """The labels of a BIDS table ``*_dseg.tsv``; those that are no regions are left out.

    Parameters
    ----------
    path : Path
        With the columns ``index`` (or ``label``) and ``name``, and ``hemi`` where the names give no side.

    Raises
    ------
    ImageError
        The table cannot be read, or lacks a column.
    """
    try:
        columns, rows = read_rows(path, quoted=True)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read ({error}); correct or replace the table") from error
    index = next((column for column in _INDEX_COLUMNS if column in columns), None)
    if index is None or "name" not in columns:
        raise ImageError(f"{path}: a table of labels needs the columns index and name; add them")
    hemisphere = next((column for column in _HEMISPHERE_COLUMNS if column in columns), "")
    labels = {}
    for row in rows:
        label = label_of_name(row["name"] or "", row.get(hemisphere, "") or "")
        if label is not None and re.fullmatch(r"\d+", row[index].strip()):
            labels[int(row[index])] = label
    return labels
