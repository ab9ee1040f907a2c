"""Pure renderers: a result becomes a table, or words."""
