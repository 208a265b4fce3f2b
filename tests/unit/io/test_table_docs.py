"""The page on tables says what the schemas say."""

from pathlib import Path

from voxscale.io.schemas import SCHEMAS
from voxscale.io.tables import document

PAGE = Path(__file__).parents[3] / "docs" / "tables.md"


def test_page_is_up_to_date():
    assert PAGE.read_text() == document(), "run: python -m voxscale.io.tables > docs/tables.md"


def test_every_column_has_a_unit_and_a_meaning():
    for name, schema in SCHEMAS.items():
        assert len(schema.names) == len(set(schema.names)), name
        for field in schema:
            assert field.metadata[b"unit"], (name, field.name)
            assert field.metadata[b"description"], (name, field.name)
