"""From a model and a prepared case to a synthetic image."""
