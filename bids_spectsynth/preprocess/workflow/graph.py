"""Names that Nipype allows: of nodes, folders and fields."""

import re


def nipype_name(label: str) -> str:
    """A label with every character that Nipype forbids replaced.

    Different labels may become equal; those of spaces do not: they hold letters, digits and at most one ``+``.
    """
    return re.sub(r"\W", "_", label, flags=re.ASCII)


def record_field(step: str) -> str:
    """Name of the field that holds the record of a step (``T1w``, a role or the label of a template)."""
    return f"record_{nipype_name(step)}"


def mask_field(step: str) -> str:
    """Name of the field that holds the mask of a step on its own voxels."""
    return f"mask_{nipype_name(step)}"
