"""Charts as inline SVG: pure functions of numbers, coloured by the page's stylesheet."""
