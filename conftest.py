"""Hooks of pytest for all tests; what they share is in tests/conftest.py."""

import gc
import os

import matplotlib as mpl

#: The program would have Matplotlib's cache in the work folder of its first run, which is gone with the test.
os.environ.setdefault("MPLCONFIGDIR", mpl.get_cachedir())


def pytest_collection_finish() -> None:
    """Leave what was imported out of later searches for garbage.

    hypothesis collects it around every one of its tests, which took half a second each and more time than the tests.
    """
    gc.collect()
    gc.freeze()
