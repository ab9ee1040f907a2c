"""What the statistics of BatchNorm tell of how a net was trained."""
