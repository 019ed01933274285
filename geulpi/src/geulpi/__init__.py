"""The `geulpi` command."""
