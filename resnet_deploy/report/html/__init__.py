"""Results as self-contained HTML pages: no script, no network, light, dark and on paper."""
