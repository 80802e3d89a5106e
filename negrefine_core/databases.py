"""What the caches' SQLite files have in common: one that an older version made gets the column it lacks."""

import sqlite3


def add_column(database: sqlite3.Connection, table: str, column: str, declaration: str) -> None:
    """Add a column where the table lacks it; another process may do the same."""
    if _has(database, table, column):
        return
    database.execute("BEGIN IMMEDIATE")
    if not _has(database, table, column):  # no other process was quicker
        database.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" {declaration}')
    database.commit()


def _has(database: sqlite3.Connection, table: str, column: str) -> bool:
    return column in [found[1] for found in database.execute(f"PRAGMA table_info({table})")]
