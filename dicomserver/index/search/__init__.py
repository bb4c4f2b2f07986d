"""Queries: keys, what they match (PS3.4 C.2.2.2), and how the index finds it."""
