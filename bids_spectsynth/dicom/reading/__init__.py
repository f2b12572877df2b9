"""DICOM files as volumes: which series there are, what they are, where their voxels lie."""
