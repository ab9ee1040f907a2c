"""What flows: an ONNX file that describes itself, and how it is written whole or not at all."""
