"""Synthesis of interictal SPECT from MRI and PET as a BIDS-App (Fard et al. 2024)."""

from importlib import import_module

__version__ = "0.1.0"

#: What a Python user calls, and its home; imported when it is first asked for, so that ``--help`` answers at once.
#: ``__init__.pyi`` says the same to type checkers. Modules of the package import from the homes.
_HOMES = {
    "CaseArrays": "synthesis.data.slices",
    "PreparedCase": "bids.prepared",
    "Prediction": "synthesis.prediction.case_prediction",
    "Registration": "preprocess.registration.result",
    "SpectSynthError": "errors",
    "SynthesisModel": "api",
    "find_models": "synthesis.models.ensemble",
    "find_prepared": "api",
    "load_case": "synthesis.data.slices",
    "load_model": "api",
    "predict": "api",
    "register": "api",
    "resample": "api",
    "slice_metrics": "evaluation.case.metrics",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
