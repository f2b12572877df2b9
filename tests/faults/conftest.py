"""The option ``--faults-table`` (see :mod:`fault_table`), and what tests of faults share."""

from fault_table import pytest_addoption, pytest_configure

__all__ = ["pytest_addoption", "pytest_configure"]
