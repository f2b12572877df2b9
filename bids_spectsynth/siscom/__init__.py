"""SISCOM: an ictal scan minus a baseline, the maps, the foci, and how far to trust them."""
