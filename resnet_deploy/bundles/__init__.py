"""A network with the code that runs it, in a folder with a self-test: one target per file."""
