"""Slices of prepared images, as the networks learn from them."""
