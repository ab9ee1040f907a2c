"""Networks: the paper's ResNets, VGG-19, checkpoints of every layout, BatchNorm folding."""
