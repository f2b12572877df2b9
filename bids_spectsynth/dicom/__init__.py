"""DICOM out of an output folder, and DICOM into a BIDS dataset."""
