from pathlib import Path

import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.siscom.foci.labels import CORTICAL_LOBES, freesurfer_labels, label_of_name, read_label_table

#: Names of CerebrA's table, each of which it has on both sides, by the lobe that they must have.
CEREBRA = {
    "frontal": ("Caudal Middle Frontal", "Lateral Orbitofrontal", "Medial Orbitofrontal", "Paracentral",
                "Pars Opercularis", "Pars Orbitalis", "Pars Triangularis", "Precentral", "Rostral Middle Frontal",
                "Superior Frontal"),
    "temporal": ("Entorhinal", "Fusiform", "Inferior temporal", "Middle Temporal", "Parahippocampal",
                 "Superior Temporal", "Transverse Temporal", "Hippocampus", "Amygdala"),
    "parietal": ("Inferior Parietal", "Postcentral", "Precuneus", "Superior Parietal", "Supramarginal"),
    "occipital": ("Cuneus", "Lateral Occipital", "Lingual", "Pericalcarine"),
    "insula": ("Insula",),
    "cingulate": ("Caudal Anterior Cingulate", "Isthmus Cingulate", "Posterior Cingulate",
                  "Rostral Anterior Cingulate"),
    "deep": ("Thalamus", "Caudate", "Putamen", "Pallidum", "Accumbens Area", "Ventral Diencephalon",
             "Basal Forebrain"),
    "cerebellum": ("Cerebellum Gray Matter", "Cerebellum White Matter", "Vermal lobules I-V", "Vermal lobules VI-VII",
                   "Vermal lobules VIII-X"),
    "brainstem": ("Brainstem",),
    None: ("Third Ventricle", "Fourth Ventricle", "Lateral Ventricle", "Inferior Lateral Ventricle", "Optic Chiasm"),
}  # fmt: skip


def test_label_of_name__all_51_of_cerebra_have_their_lobe_and_our_spelling() -> None:
    names = [(name, lobe) for lobe, own in CEREBRA.items() for name in own]
    assert len(names) == 51
    ours = {label.region for label in freesurfer_labels().values()}
    for name, lobe in names:
        label = label_of_name(name, "L")
        assert (label and label.lobe) == lobe, name
        assert label is None or (label.side == "L" and label.region in ours), name


def test_freesurfer_labels__numbers_have_side_lobe_and_region() -> None:
    labels = freesurfer_labels()
    known = {1024: "L frontal precentral", 2024: "R frontal precentral", 17: "L temporal hippocampus",
             53: "R temporal hippocampus", 49: "R deep thalamus", 47: "R cerebellum cerebellum cortex",
             2035: "R insula insula", 1011: "L occipital lateral occipital", 1025: "L parietal precuneus",
             16: "n/a brainstem brainstem", 42: "R n/a cerebral cortex"}  # fmt: skip
    found = {number: labels[number] for number in known}
    assert {n: f"{one.side} {one.lobe} {one.region}" for n, one in found.items()} == known
    assert not {2, 41, 4, 43, 14, 15, 24, 77, 85, 1004, 2004, 1000, 251} & labels.keys()
    assert {label.lobe for label in labels.values()} > CORTICAL_LOBES
    assert sum(1001 <= number <= 1035 for number in labels) == 34


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ctx-rh-superiorfrontal", ("R", "frontal", "superior frontal")),
        ("Left-Thalamus-Proper*", ("L", "deep", "thalamus")),
        ("Brain-Stem", ("n/a", "brainstem", "brainstem")),
        ("ctx_lh_G_temp_sup-Lateral", ("L", "temporal", "G temp sup Lateral")),
        ("Area 44, right", ("R", "n/a", "Area 44")),
        ("Left-Cerebral-White-Matter", None),
        ("CC_Posterior", None),
        ("CSF", None),
        ("Gray matter", None),
        ("ctx-lh-unknown", None),
        ("", None),
    ],
)
def test_label_of_name__spellings_of_other_tables(name: str, expected: tuple[str, str, str] | None) -> None:
    label = label_of_name(name)
    assert (label and (label.side, label.lobe, label.region)) == expected


def test_read_label_table__columns_of_bids_and_of_templateflow(tmp_path: Path) -> None:
    bids, flow = tmp_path / "a_dseg.tsv", tmp_path / "b_dseg.tsv"
    bids.write_text("index\tname\tcolor\n5\tctx-lh-precentral\t#fff\n6\tCSF\t#000\nn/a\tctx-lh-insula\t#fff\n")
    flow.write_text("label\tname\themi\n86\tPrecentral\tL\n35\tPrecentral\tR\n")
    assert {n: (one.side, one.region) for n, one in read_label_table(bids).items()} == {5: ("L", "precentral")}
    assert {n: one.side for n, one in read_label_table(flow).items()} == {86: "L", 35: "R"}


@pytest.mark.parametrize("content", [b"number\tname\n1\tInsula\n", b"index\n1\n", b"", b"\xff\xfe\x00"])
def test_read_label_table__what_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sub-01_dseg.tsv"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"sub-01_dseg\.tsv") as caught:
        read_label_table(path)
    assert "\n" not in str(caught.value)
