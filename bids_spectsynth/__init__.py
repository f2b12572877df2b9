"""Synthesis of interictal SPECT from MRI and PET as a BIDS-App (Fard et al. 2024)."""

__version__ = "0.1.0"
