"""Checks how the project is worded: ``python -m docgen.prose``, a part of ``make lint``.

proselint brings the checks and the machine that runs them, ``style.toml`` the project's own words.
"""
