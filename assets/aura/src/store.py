"""Results, in a PostgreSQL table."""

import psycopg


class Store:
    """Word counts by the name of their task."""

    def __init__(self, url: str) -> None:
        """Remember where the database is; each call has a connection of its own."""
        self._url = url

    def _connect(self) -> "psycopg.Connection[tuple[str, int]]":
        return psycopg.connect(self._url, connect_timeout=5)

    def ping(self) -> None:
        """Raise if the database does not answer."""
        with self._connect() as connection:
            connection.execute("SELECT 1")

    def prepare(self) -> None:
        """Create the table if it is not there."""
        with self._connect() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS results (name text PRIMARY KEY, words integer NOT NULL)"
            )

    def save(self, name: str, words: int) -> None:
        """Keep a result; a later one of the same name replaces it."""
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO results VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET words = excluded.words",
                (name, words),
            )

    def results(self) -> dict[str, int]:
        """Every result."""
        with self._connect() as connection:
            return dict(connection.execute("SELECT name, words FROM results").fetchall())

    def clear(self) -> None:
        """Forget every result."""
        with self._connect() as connection:
            connection.execute("DELETE FROM results")
