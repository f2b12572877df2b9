"""Texts of a reader study: columns of its form and its key, and what readers are told."""

from bids_spectsynth.siscom.group.scans import Dictionary

#: Foci that a reader may mark in a case.
MOST_FOCI = 3
LOBES = (
    "frontal", "temporal", "parietal", "occipital", "insula", "cingulate", "deep", "cerebellum", "brainstem",
)  # fmt: skip

README = """\
Reader study of subtraction SPECT (SISCOM)
==========================================

{n} cases in {readings} reading(s). Read the cases in the order of their numbers, and leave weeks between the readings:
the same head may come again in the next one, with another image subtracted. Which one it is, is not told.

Each case has a folder:

*_mosaic.png               the map beyond the threshold on the T1w, in three planes; the patient's left is at the left
*_T1w.nii.gz               the brain
*_stat-z_statmap.nii.gz    the difference over its standard deviation in the brain, ictal minus baseline
*_stat-difference_statmap.nii.gz    the difference, percent of the brain mean

form.tsv has three rows for each case, for up to three foci; fill in a copy, tab-separated. form.json explains the
columns. Say in the first row of each case whether you found a seizure focus (yes or no); a row that you leave empty is
not counted. Coordinates (millimetres, RAS+: positive is right, front, top) are those that viewers show for the T1w.
"""

FORM_DICTIONARY: Dictionary = {
    "case": {"Description": "Name of the case."},
    "reading": {"Description": "In which reading it is read."},
    "reader": {
        "Description": "Your name or initials, the same in all rows. Forms of several readers go into one file."
    },
    "focus": {"Description": "Number of the focus in the case, 1 to 3."},
    "found": {
        "Description": "Whether you found a focus.",
        "Levels": {"yes": "This row has one.", "no": "There is none."},
    },
    "side": {"Description": "Side of the focus.", "Levels": {"L": "Left.", "R": "Right.", "M": "Midline."}},
    "lobe": {"Description": f"Lobe of the focus: {', '.join(LOBES)}."},
    "x_mm": {"Description": "Place of the focus, positive is right; may be left empty.", "Units": "mm"},
    "y_mm": {"Description": "Place of the focus, positive is anterior; may be left empty.", "Units": "mm"},
    "z_mm": {"Description": "Place of the focus, positive is superior; may be left empty.", "Units": "mm"},
    "confidence": {"Description": "From 1, hardly sure, to 5, certain."},
}

KEY_DICTIONARY: Dictionary = {
    "case": {"Description": "Name of the case in the study."},
    "reading": {"Description": "In which reading it is read."},
    "participant_id": {"Description": "Participant."},
    "ictal": {"Description": "The ictal scan: its file name up to the space."},
    "baseline": {"Description": "What was subtracted, as desc-siscom<label> has it."},
    "kind": {"Description": "Kind of the baseline: real, synthetic or pet."},
    "truth": {
        "Description": "What is known of the focus.",
        "Levels": {
            "focus": "Where the seizure started.",
            "resected": "Where was operated.",
            "none": "There was no seizure.",
            "n/a": "Nothing is known.",
        },
    },
    "side": {"Description": "True side."},
    "lobe": {"Description": "True lobe."},
    "x_mm": {"Description": "Centre of the true focus in the world of the T1w, RAS+.", "Units": "mm"},
    "y_mm": {"Description": "Centre of the true focus.", "Units": "mm"},
    "z_mm": {"Description": "Centre of the true focus.", "Units": "mm"},
}
