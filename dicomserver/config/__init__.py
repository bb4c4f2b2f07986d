"""One schema that checks, documents and generates the configuration."""
