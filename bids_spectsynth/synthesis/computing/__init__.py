"""Devices, processes, number formats, seeds."""
