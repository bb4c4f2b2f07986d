"""The numbered steps from an empty schema to today's, one module each; postgres/schema.py runs them."""
