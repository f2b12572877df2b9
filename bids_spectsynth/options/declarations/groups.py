"""The groups in which the help and the usage page show the options, in their order."""

from bids_spectsynth.options.declare import Group

DATA = Group("which data")
EXECUTION = Group("how to run")
COMPUTATION = Group(
    "how the network is computed", "auto follows the hardware; what was taken stands in the model's card."
)
PREPARATION = Group("preparation")
SYNTHESIS = Group("synthesis", of_training=True)
RECIPE = Group("recipe of the model", "Each overrules the preset; defaults are of fard2024.", of_training=True)
COHORT = Group("study and split", of_training=True)
EVALUATION = Group("evaluation")
SISCOM = Group("SISCOM", "ictal minus baseline, for everybody with an ictal SPECT.")
DICOM = Group("DICOM")

GROUPS = (DATA, EXECUTION, COMPUTATION, PREPARATION, SYNTHESIS, RECIPE, COHORT, EVALUATION, SISCOM, DICOM)
