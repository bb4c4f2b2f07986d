"""What is stored where: one interface, SQLite behind it."""
