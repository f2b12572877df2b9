"""What the tests of the simulated start share."""

import logging
from collections.abc import Iterator

import pytest

from bids_spectsynth.logs import LOGGER_NAME


@pytest.fixture(autouse=True, scope="module")
def _logger_as_before() -> Iterator[None]:
    """The command sends messages to the console alone; tests that follow in this process read them."""
    logger = logging.getLogger(LOGGER_NAME)
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    for handler in [one for one in logger.handlers if one not in handlers]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)
    logger.propagate = propagate
