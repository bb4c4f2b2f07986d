"""One module per service class provider."""
