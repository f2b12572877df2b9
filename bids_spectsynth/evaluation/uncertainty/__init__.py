"""Error bars of synthetic images, calibrated on participants that the networks have not seen."""
