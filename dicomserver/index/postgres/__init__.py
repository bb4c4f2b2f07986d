"""The index in PostgreSQL, through psycopg 3."""
