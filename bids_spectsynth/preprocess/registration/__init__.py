"""Rigid and affine registration of two images of one head."""
