"""Edits that change what a graph takes, computes, answers or is written in; passes never do.

Input formats, resizing in the graph, the head behind the logits, the operator set. What takes an
``onnx.ModelProto`` returns a changed copy; what takes an ``onnx_ir.Model`` changes it in place, and
says as passes do what it refused.
"""
