"""Hooks of pytest for all tests; what they share is in tests/conftest.py."""

import gc


def pytest_collection_finish() -> None:
    """Leave what was imported out of later searches for garbage.

    hypothesis collects it around every one of its tests, which took half a second each and more time than the tests.
    """
    gc.collect()
    gc.freeze()
