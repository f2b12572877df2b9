"""The shipped schema is the one that the code builds."""

import gzip
import json
from pathlib import Path

from bids_spectsynth.bids.names import ENTITY_ORDER
from bids_spectsynth.bids.schema import build_schema, shipped_schema, write_schema


def test_shipped_schema_is_fresh(tmp_path: Path) -> None:
    built = build_schema()
    assert json.loads(shipped_schema()) == built, "run python -m bids_spectsynth.bids.schema"
    write_schema(tmp_path / "schema.json.gz")
    packed = (tmp_path / "schema.json.gz").read_bytes()
    assert json.loads(gzip.decompress(packed)) == built
    assert packed[4:8] == b"\0\0\0\0"  # no time stamp


def test_entity_order_is_that_of_the_schema() -> None:
    schema = build_schema()
    short = [schema["objects"]["entities"][name]["name"] for name in schema["rules"]["entities"]]
    assert [key for key in short if key in ENTITY_ORDER] == list(ENTITY_ORDER)
