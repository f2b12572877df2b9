"""The BIDS schema extended by SPECT: how it is built, and the built file that is shipped.

BIDS has no SPECT. The extension mirrors PET's names (which have no ``acq``): a ``spect`` datatype with a ``_spect``
suffix. It also admits what the derivatives here need and the standard lacks: brain masks beside PET and SPECT,
linear transforms (``_xfm``), the tables of the evaluation (``_metrics``, ``_regions``, ``_volume``, ``_calibration``),
and the maps and tables of SISCOM (``stat-``, ``_statmap``, ``_clusters``, ``_concordance``).
Run ``python -m bids_spectsynth.bids.schema`` after an update of bidsschematools to renew the shipped file.
"""

import copy
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.output_files import RATINGS

Schema = dict[str, Any]

SCHEMA_FILE = "bids_schema_spect.json.gz"
#: Tables of the evaluation and of SISCOM.
TABLES = (*RATINGS, "clusters", "concordance")
NOT_A_TABLE = tuple(f'suffix != "{table}"' for table in TABLES)
_LABEL_ENTITIES = {
    "from": "Space or image that a transform maps coordinates from.",
    "to": "Space or image that a transform maps coordinates to.",
    "mode": "Whether a transform maps images or points.",
}
_FREE_ENTITIES = dict.fromkeys(
    ("subject", "session", "task", "tracer", "reconstruction", "run"),
    "optional",
)


def build_schema() -> Schema:
    """The schema of the installed bidsschematools, extended by SPECT.

    Returns
    -------
    dict
        Plain, JSON-serialisable schema in the form that ``bids-validator-deno --schema`` reads.
    """
    from bidsschematools.schema import load_schema

    schema: Schema = json.loads(json.dumps(load_schema().to_dict()))
    _add_objects(schema["objects"])
    _add_file_rules(schema["rules"]["files"])
    _add_sidecar_rules(schema["rules"]["sidecars"])
    order = schema["rules"]["entities"]
    order[order.index("space") : order.index("space")] = list(_LABEL_ENTITIES)
    order.append("statistic")
    schema["rules"]["modalities"]["spect"] = {"datatypes": ["spect"]}
    _treat_spect_as_imaging(schema["rules"])
    # A table has no voxels that could be aligned to a reference.
    for name in ("SpatialReferenceEntity", "SpatialReferenceNonStandard"):
        schema["rules"]["sidecars"]["derivatives"]["common_derivatives"][name]["selectors"].extend(NOT_A_TABLE)
    return schema


def _add_objects(objects: Schema) -> None:
    name = "Single-photon emission computed tomography"
    objects["modalities"]["spect"] = {"display_name": name, "description": "Data acquired with SPECT.\n"}
    objects["datatypes"]["spect"] = {"value": "spect", "display_name": name, "description": "SPECT data.\n"}
    objects["suffixes"]["spect"] = {"value": "spect", "display_name": name, "description": "A SPECT image.\n"}
    objects["suffixes"]["xfm"] = {"value": "xfm", "display_name": "Transform", "description": "A 4x4 matrix.\n"}
    objects["suffixes"]["statmap"] = {"value": "statmap", "display_name": "Map", "description": "A statistical map.\n"}
    for table in TABLES:
        objects["suffixes"][table] = {"value": table, "display_name": table.capitalize(), "description": "A table.\n"}
    for key, text in (*_LABEL_ENTITIES.items(), ("statistic", "What a statistical map shows.")):
        objects["entities"][key] = {
            "name": "stat" if key == "statistic" else key,
            "display_name": key.capitalize(),
            "description": text,
            "type": "string",
            "format": "label",
        }


def _add_file_rules(files: Schema) -> None:
    raw = copy.deepcopy(files["raw"]["pet"]["pet"])
    files["raw"]["spect"] = {"spect": raw | {"suffixes": ["spect"], "datatypes": ["spect"]}}
    imaging = files["deriv"]["imaging"]
    image = copy.deepcopy(imaging["pet_pet_volumetric"])
    imaging["spect_spect_volumetric"] = image | {"suffixes": ["spect"], "datatypes": ["spect"]}
    for datatype in ("pet", "spect"):
        imaging[f"{datatype}_mask"] = copy.deepcopy(image) | {"suffixes": ["mask"], "datatypes": [datatype]}
    selectors = copy.deepcopy(image["selectors"])
    required = dict.fromkeys(_LABEL_ENTITIES, "required")
    imaging["linear_transform"] = {
        "entities": _FREE_ENTITIES | required,
        "suffixes": ["xfm"],
        "extensions": [".txt", ".json"],
        "datatypes": ["anat", "pet", "spect"],
        "selectors": selectors,
    }
    named = {"space": "optional", "resolution": "optional", "description": "required"}
    imaging["spect_statmap"] = {
        "entities": _FREE_ENTITIES | named | {"statistic": "required"},
        "suffixes": ["statmap"],
        "extensions": [".nii.gz", ".nii", ".json"],
        "datatypes": ["spect"],
        "selectors": selectors,
    }
    imaging["spect_tables"] = {
        "entities": _FREE_ENTITIES | named,
        "suffixes": list(TABLES),
        "extensions": [".tsv", ".json"],
        "datatypes": ["spect"],
        "selectors": selectors,
    }


def _add_sidecar_rules(sidecars: Schema) -> None:
    sidecars["spect"] = {
        "SPECTTracer": {
            "selectors": ['datatype == "spect"', 'suffix == "spect"'],
            "fields": {
                "TracerName": "required",
                "TracerRadionuclide": "required",
                "Units": "recommended",
                "InjectedRadioactivity": "optional",
                "InjectedRadioactivityUnits": "optional",
            },
        }
    }


def _treat_spect_as_imaging(node: Any) -> None:
    """Let every rule for MRI and PET images (``SkullStripped``, ``Resolution``) hold for SPECT as well."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "selectors":
                node[key] = [s.replace('["mri", "pet"]', '["mri", "pet", "spect"]') for s in value]
            else:
                _treat_spect_as_imaging(value)


def write_schema(path: Path) -> None:
    """Write :func:`build_schema` as compressed JSON; equal schemas give equal bytes on one machine."""
    text = json.dumps(build_schema(), separators=(",", ":"), sort_keys=False)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def shipped_schema() -> bytes:
    """JSON text of the extended schema that is part of this package."""
    packed = resources.files("bids_spectsynth.data").joinpath(SCHEMA_FILE).read_bytes()
    return gzip.decompress(packed)


if __name__ == "__main__":
    write_schema(Path(str(resources.files("bids_spectsynth.data").joinpath(SCHEMA_FILE))))
