"""A network with the code that runs it, in a folder that proves itself: one target per file."""
