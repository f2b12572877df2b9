"""Errors whose message is one clear line for the user: which file, what is wrong, what to do."""


class SpectSynthError(Exception):
    """Base of every error that is shown to the user without a traceback."""


class UsageError(SpectSynthError):
    """Options, a configuration file or a filter file cannot be followed."""


class DatasetError(SpectSynthError):
    """The input dataset as a whole is not usable."""


class ImageError(SpectSynthError):
    """One image is missing, damaged or empty; concerns one participant only."""


class ModelError(SpectSynthError):
    """A model folder is damaged, of another version, or does not fit the data."""
