"""CerebrA, laid on a head by its transform to a template."""

import logging
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from threading import Lock

from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.options.names import templateflow_home
from bids_spectsynth.preprocess.templates.atlas import CEREBRA_TEMPLATE, fetch_cerebra
from bids_spectsynth.siscom.foci.labels import read_label_table
from bids_spectsynth.siscom.foci.volumes import LabelVolume, read_labels

logger = logging.getLogger(__name__)

#: Templates whose world is the atlas's or lies within some mm of it, the nearest first.
_ORDER = (CEREBRA_TEMPLATE, "MNI152NLin2009cAsym", "MNI152NLin2009bSym", "MNI152NLin2009aSym", "MNI152NLin2009bAsym",
          "MNI152NLin2009aAsym")  # fmt: skip
_FAMILY = "MNI152"


def nearest_template(templates: Iterable[str]) -> str | None:
    """The template whose coordinates are nearest to the atlas's; None where none is of the family MNI152.

    Examples
    --------
    >>> nearest_template(["MNI152NLin6Asym", "MNI152NLin2009cAsym"]), nearest_template(["OASIS30ANTs"])
    ('MNI152NLin2009cAsym', None)
    """
    known = sorted(template for template in templates if template.startswith(_FAMILY))
    return min(known, key=lambda one: _ORDER.index(one) if one in _ORDER else len(_ORDER), default=None)


def is_of_atlas(template: str) -> bool:
    """Whether coordinates of a template are the atlas's own, but for what is not symmetrical."""
    return template in _ORDER[:2]


#: Scans are worked on in threads: the first of them fetches the atlas, the others wait.
_ONE_AT_A_TIME = Lock()


def cerebra() -> LabelVolume | None:
    """The atlas in its template's world; None where it cannot be had, which is tried and logged once in a process."""
    with _ONE_AT_A_TIME:
        return _cerebra(templateflow_home())


@lru_cache(maxsize=1)
def _cerebra(home: Path) -> LabelVolume | None:
    try:
        files = fetch_cerebra()
        data, affine = read_labels(files.image)
        labels = read_label_table(files.table)
    except (UsageError, ImageError) as error:
        logger.warning("regions of foci have no names but those of --derivatives: %s", error)
        return None
    return LabelVolume(data=data, affine=affine, labels=labels, source=f"CerebrA ({files.image.name})")
