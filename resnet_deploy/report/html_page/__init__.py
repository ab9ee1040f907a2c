"""Documents as self-contained HTML pages, with their charts."""
