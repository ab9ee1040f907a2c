"""What runs an ONNX file: one file per runner, session options, and what the CPU is."""
