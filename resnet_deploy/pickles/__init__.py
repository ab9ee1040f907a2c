"""Pickles as data: read without calling, importing or believing anything of theirs."""
