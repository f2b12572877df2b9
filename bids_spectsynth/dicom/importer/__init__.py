"""A patient's DICOM series as files of a BIDS dataset."""
