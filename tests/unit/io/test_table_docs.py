"""Every column of every table is explained."""

from voxscale.io.schemas import SCHEMAS


def test_every_column_has_a_unit_and_a_meaning():
    for name, schema in SCHEMAS.items():
        assert len(schema.names) == len(set(schema.names)), name
        for field in schema:
            assert field.metadata[b"unit"], (name, field.name)
            assert field.metadata[b"description"], (name, field.name)
