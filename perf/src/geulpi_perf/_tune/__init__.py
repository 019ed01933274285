"""`geulpi tune`: settings found by measuring, and written into a config."""
