"""Runners: one way to run an ONNX file on each runtime, one file per runner."""
