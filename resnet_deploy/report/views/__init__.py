"""One view per kind of result: what a document of it says."""
