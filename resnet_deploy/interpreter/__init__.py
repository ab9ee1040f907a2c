"""From an ONNX graph back to a PyTorch module that computes the same."""
