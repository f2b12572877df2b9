"""Images as arrays on grids: reading, masks, resampling; no BIDS, no network."""
