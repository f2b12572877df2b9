from bids_spectsynth.api import SynthesisModel as SynthesisModel
from bids_spectsynth.api import find_prepared as find_prepared
from bids_spectsynth.api import load_model as load_model
from bids_spectsynth.api import predict as predict
from bids_spectsynth.api import register as register
from bids_spectsynth.api import resample as resample
from bids_spectsynth.bids.prepared import PreparedCase as PreparedCase
from bids_spectsynth.errors import SpectSynthError as SpectSynthError
from bids_spectsynth.evaluation.case.metrics import slice_metrics as slice_metrics
from bids_spectsynth.preprocess.registration.result import Registration as Registration
from bids_spectsynth.synthesis.data.slices import CaseArrays as CaseArrays
from bids_spectsynth.synthesis.data.slices import load_case as load_case
from bids_spectsynth.synthesis.models.ensemble import find_models as find_models
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction as Prediction

__version__: str
