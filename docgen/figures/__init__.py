"""The pictures of the pages, as SVG that scripts draw: ``python -m docgen.figures``."""
