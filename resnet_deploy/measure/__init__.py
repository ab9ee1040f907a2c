"""Time, taken in processes of their own: stopwatch, affinity, groups, operators."""
