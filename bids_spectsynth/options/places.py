"""Text without where folders lie on this machine and who uses it: what logs, crash files and tables may say."""

import os
import re

from bids_spectsynth.options.settings import Settings

_CRASH_FILE = re.compile(r"crash-(\d{8}-\d{6})-[^/\s]+-(\w+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def without_places(text: str, settings: Settings) -> str:
    """Text in which files of the dataset and the output folder are named from there, and the home folder is ``~``.

    Of other folders that options name, the name stays, which says which one is meant. Names of Nipype's crash files
    lose the user's.

    Parameters
    ----------
    text : str
    settings : Settings

    Returns
    -------
    str
    """
    for folder in (settings.output_dir, settings.bids_dir):
        text = text.replace(f"{folder}/", "").replace(f"{folder.resolve()}/", "")
    named = {str(path): "work" for path in (settings.work_folder, settings.work_folder.resolve())}
    folders = (settings.normals, settings.model, settings.initial_model, *settings.derivative_folders)
    options = [folder for folder in folders if folder is not None]
    named |= {str(path): path.resolve().name for option in options for path in (option, option.resolve())}
    for name in ("output_dir", "bids_dir"):
        folder = getattr(settings, name)
        named |= {str(path): f"the {name.replace('_dir', '')} folder" for path in (folder, folder.resolve())}
    # A folder within another one goes first.
    for path_text in sorted(named, key=len, reverse=True):
        if path_text.strip("/") and named[path_text]:
            text = re.sub(rf"{re.escape(path_text)}(?![\w.-])", named[path_text], text)
    home = os.path.expanduser("~")  # noqa: PTH111  (Path.home raises where there is none)
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return _CRASH_FILE.sub(r"crash-\1-\2", text)
