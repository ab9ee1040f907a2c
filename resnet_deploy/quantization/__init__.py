"""Static int8 in QDQ form, as ONNX Runtime's fast CPU kernels want it.

Activations are u8 per tensor (zero point 0 after ReLU), weights s8 per output channel, biases
int32 at exactly the scale of the product, and every residual Add has a Q on both sides.
"""
