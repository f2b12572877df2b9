"""From a participant's own scans to aligned, brain-extracted images on one grid."""
