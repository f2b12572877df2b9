"""SPECT in BIDS: finding, validating, naming and writing files."""
