"""The last step of preprocessing: what is written to the output folder."""
