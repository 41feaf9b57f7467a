"""Types of rows: they are those of the declared tables."""

from pathlib import Path

from rollout3d.tables import TABLES, __main__, rows

FILE = Path(rows.__file__)


def test_the_committed_types_are_those_of_the_tables():
    assert FILE.read_text() == __main__.source(), "run: python -m rollout3d.tables > workflow/rollout3d/tables/rows.py"


def test_every_table_has_a_type_with_its_columns_in_order():
    for name, table in TABLES.items():
        assert list(getattr(rows, __main__.ROWS[name]).__annotations__) == table.schema.names
