"""From slices to a trained network."""
