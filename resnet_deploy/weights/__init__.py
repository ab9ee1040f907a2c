"""Files of weights: what a container holds, read as plain data."""
