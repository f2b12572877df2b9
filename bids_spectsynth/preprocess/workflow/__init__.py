"""The preparation as a Nipype workflow."""
