"""The numbered steps from an empty file to today's schema, one module each; sqlite/schema.py runs them."""
