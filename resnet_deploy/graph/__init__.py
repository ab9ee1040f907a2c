"""Looking at ONNX graphs: layers, constants, torch modules, shapes, and who can load a file."""
