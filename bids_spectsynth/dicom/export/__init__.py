"""A participant's results as DICOM series."""
