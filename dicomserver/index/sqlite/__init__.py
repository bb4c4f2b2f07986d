"""The index in a SQLite file, or in memory: the same schema and statements."""
