"""Seeds of ONNX files: rare layers, sizes beyond reason, words that contradict the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto

_NET: Final = (
    "g (float[N,3,32,32] x) => (float[N,2] y) {"
    " c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) m = MaxPool<kernel_shape=[2,2]>(r)"
    " p = GlobalAveragePool(m) f = Flatten(p) y = Gemm(f, v, b) }"
)
_ONES: Final[Mapping[str, Any]] = {
    "w": np.ones((4, 3, 3, 3), np.float32),
    "v": np.ones((4, 2), np.float32),
    "b": np.ones(2, np.float32),
}


def _parsed(text: str, weights: Mapping[str, Any], *, opset: int = 17) -> onnx.ModelProto:
    from tests.support.graphs import parse

    model: onnx.ModelProto = parse(text, weights, opset=opset)
    return model


def _net(metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
    model = _parsed(_NET, _ONES)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def carded() -> list[bytes]:
    """Return nets with the cards of other nets, and one whose card says nothing."""
    from resnet_deploy.artifact.card import CARD_KEY
    from resnet_deploy.spec import InputContract, resnet_spec, vgg19_spec
    from tests.support.cards import card

    names = {
        "Conv": "/layer1/layer1.0/conv1/Conv",
        "MaxPool": "/maxpool/MaxPool",
        "Gemm": "/fc/Gemm",
    }
    features = {"Conv": "/features/features.0/Conv", "Gemm": "/classifier/classifier.6/Gemm"}
    found = []
    for called, spec in (
        (names, resnet_spec(18, num_classes=2, image_size=32)),
        (names, resnet_spec(20, num_classes=2)),
        (features, vgg19_spec(num_classes=2, image_size=32)),
    ):
        model = _net()
        for node in model.graph.node:
            node.name = called.get(node.op_type, "")
        text = card(model=spec, preprocess=InputContract.for_size(32)).to_json()
        model.metadata_props.add(key=CARD_KEY, value=text)
        found.append(model.SerializeToString())
    return [*found, _net({CARD_KEY: "{}"}).SerializeToString()]


def stages() -> list[bytes]:
    """Return nets that their cards fit: with three and with eight sums, and with sixteen layers."""
    from resnet_deploy.artifact.card import CARD_KEY
    from resnet_deploy.spec import InputContract, resnet_spec, vgg19_spec
    from tests.support.cards import card

    found = []
    for spec, layers, sums in (
        (resnet_spec(8, num_classes=2), [f"layer{i}.0.conv1" for i in (1, 2, 3)], True),
        (
            resnet_spec(18, num_classes=2, image_size=32),
            [f"layer{i // 2 + 1}.{i % 2}.conv2" for i in range(8)],
            True,
        ),
        (vgg19_spec(num_classes=2, image_size=32), [f"features.{2 * i}" for i in range(16)], False),
    ):
        model = _stacked(layers, sums=sums)
        text = card(model=spec, preprocess=InputContract.for_size(32)).to_json()
        model.metadata_props.add(key=CARD_KEY, value=text)
        found.append(model.SerializeToString())
    return found


def _stacked(layers: Sequence[str], *, sums: bool) -> onnx.ModelProto:
    """Return a net of convolutions of torch's modules ``layers``, each with a shortcut or none."""
    named = {"c0": "conv1", "m": "maxpool", "p": "avgpool", "y": "fc" if sums else "classifier.6"}
    lines, last = ["c0 = Conv<pads=[1,1,1,1]>(x, w)", "m = MaxPool<kernel_shape=[2,2]>(c0)"], "m"
    for number, layer in enumerate(layers, 1):
        named[f"c{number}"] = layer
        lines.append(f"c{number} = Conv(m, k)" if last == "m" else f"c{number} = Conv({last}, k)")
        if sums:
            lines.append(f"s{number} = Add(c{number}, {last})")
        last = f"{'s' if sums else 'c'}{number}"
    lines += [f"p = GlobalAveragePool({last})", "f = Flatten(p)", "y = Gemm(f, v, b)"]
    text = f"g (float[N,3,32,32] x) => (float[N,2] y) {{ {' '.join(lines)} }}"
    model = _parsed(text, {**_ONES, "k": np.ones((4, 4, 1, 1), np.float32)})
    for node in model.graph.node:
        if (module := named.get(node.output[0])) is not None:
            top, dot, _ = module.partition(".")
            node.name = f"/{top}/{module}/{node.op_type}" if dot else f"/{top}/{node.op_type}"
    return model


def faults() -> list[bytes]:
    """Return graphs that protobuf lets pass and nobody can run, and some that are only odd."""
    one = "g (float[N,3,8,8] x) => (float[N,4] y) {"
    rest = " p = GlobalAveragePool(c) y = Flatten(p) }"
    wide = {"w": np.ones((4, 5, 1, 1), np.float32)}
    fits = {"w": np.ones((4, 3, 1, 1), np.float32)}
    quantized = {**fits, "s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}
    quantized["w"] = np.ones((4, 3, 1, 1), np.int8)
    turned = " q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)"
    models = [
        _parsed(f"{one} c = Conv(x, w){rest}", wide),
        _parsed(f"{one}{turned} e = DequantizeLinear(w, s, z) c = Conv(d, e){rest}", quantized),
        _parsed(
            f"{one} n = NonZero(x) h = Shape(n) r = Reshape(x, h) c = Conv(x, w)"
            " t = MatMul(r, r) u = ReduceMean<keepdims=0>(t) a = Add(c, u)"
            " p = GlobalAveragePool(a) y = Flatten(p) }",
            fits,
        ),
    ]
    twice, referred, long, circle, sparse, function = (_net() for _ in range(6))
    for node in twice.graph.node:
        node.name = "same"
    referred.graph.node[0].attribute[0].ref_attr_name = "other"
    long.graph.initializer[0].raw_data += b"more"
    circle.graph.node[0].input[0] = circle.graph.node[1].output[0]
    stored = sparse.graph.sparse_initializer.add(dims=[2**20] * 2)
    stored.values.CopyFrom(onnx.numpy_helper.from_array(np.ones(1, np.float32), "sparse"))
    stored.indices.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.int64)))
    made = onnx.helper.make_node("Relu", ["a"], ["b"])
    opset = onnx.helper.make_opsetid("", 17)
    function.functions.append(
        onnx.helper.make_function("own", "Rectify", ["a"], ["b"], [made], [opset])
    )
    function.opset_import.append(onnx.helper.make_opsetid("own", 1))
    function.graph.node[1].domain, function.graph.node[1].op_type = "own", "Rectify"
    differing = onnx.ModelProto.FromString(_outside("weights.bin"))
    differing.graph.initializer[0].external_data.add(key="location", value="other.bin")
    models += [twice, referred, long, circle, sparse, function, differing]
    return [model.SerializeToString() for model in models]


def layers() -> list[bytes]:
    """Return nets with layers that are rare, stored otherwise, or of unknown shapes."""
    grown = (
        "g (float[1,3,8,8] x) => (float[1,4] y) {"
        " t = ConvTranspose<strides=[2,2]>(x, k) c = Conv(t, w)"
        " d = DequantizeLinear(q, s, z) e = Conv(c, d) one = Constant<value_float=1.0>()"
        " g = Mul(e, one) p = GlobalAveragePool(g) y = Flatten(p) }"
    )
    weights = {
        "k": np.ones((3, 3, 2, 2), np.float32),
        "w": np.ones((4, 3, 1, 1), np.float32),
        "q": np.ones((4, 4, 1, 1), np.int8),
        "s": np.array(0.5, np.float32),
        "z": np.array(0, np.int8),
    }
    double = (
        "g (double[N,3,8,8] x) => (double[N,4] y) {"
        " c = Conv(x, w) p = GlobalAveragePool(c) y = Flatten(p) }"
    )
    half = double.replace("double", "bfloat16")
    classes = (
        "g (float[N,3,32,32] x) => (int64[N] y) {"
        " c = Conv(x, w) p = GlobalAveragePool(c) f = Flatten(p)"
        " y = ArgMax<axis=1, keepdims=0>(f) }"
    )
    normalised = (
        "g (float[N,3,8,8] x) => (float[N,3] y) {"
        ' n = BatchNormalization(x, a, a, a, a) r = Resize<mode="nearest">(n, roi, scales)'
        " p = GlobalAveragePool(r) y = Flatten(p) }"
    )
    of_norm = {
        "a": np.ones(3, np.float32),
        "roi": np.ones(0, np.float32),
        "scales": np.ones(4, np.float32),
    }
    wide = np.ones((4, 3, 1, 1), np.float64)
    models = [
        _parsed(grown, weights),
        _parsed(double, {"w": wide}),
        _parsed(classes, {"w": weights["w"]}),
        _parsed(normalised, of_norm, opset=11),
    ]
    narrow = onnx.helper.make_tensor("w", TensorProto.BFLOAT16, (4, 3, 1, 1), [1.0] * 12)
    of_half = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{half}')
    of_half.graph.initializer.append(narrow)
    models.append(of_half)
    return [model.SerializeToString() for model in models]


def inputs() -> list[bytes]:
    """Return graphs that take no picture: none, two, of other ranks and sizes, of no type."""
    found = []
    for text in (
        "g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }",
        "g (float[N,3,8,8] x, float[N,3,8,8] z) => (float[N,3,8,8] y) { y = Add(x, z) }",
        "g () => (float[1] y) { y = Constant<value_floats=[1.0]>() }",
        "g (float[N,3,8,1000000000] x) => (float[N,3,8,1000000000] y) { y = Relu(x) }",
        "g (float[N,9,8,8] x) => (float[N,9,1,1] y) { y = GlobalAveragePool(x) }",
        "g (uint8[N,3,8,8] x) => (float[N,3,1,1] y) { c = Cast<to=1>(x) y = GlobalAveragePool(c) }",
    ):
        found.append(_parsed(text, {}).SerializeToString())
    strange = _net()
    strange.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -(2**63)
    negative = _net()
    negative.graph.initializer[0].dims[0] = -1
    unsupported = _net()
    unsupported.graph.node.add(op_type="Loop", input=["x"], output=["l"], name="loop")
    return [*found, *(model.SerializeToString() for model in (strange, negative, unsupported))]


def external() -> list[bytes]:
    """Return files whose weights lie beside them, in odd places, types and many times over."""
    found = []
    places = ("a" * 5000, "\0", "b/../weights.bin", "x/y", "link.bin")
    for location in places:
        found.append(_outside(location))
    for kind, dims in ((TensorProto.STRING, (1,)), (0, (1,)), (TensorProto.INT4, (3,))):
        model = onnx.ModelProto.FromString(_outside("weights.bin"))
        tensor = model.graph.initializer[0]
        tensor.data_type = kind
        tensor.dims[:] = dims
        found.append(model.SerializeToString())
    many = onnx.ModelProto.FromString(_outside("weights.bin"))
    for number in range(100):
        many.graph.initializer.add().CopyFrom(many.graph.initializer[0])
        many.graph.initializer[-1].name = f"w{number}"
    return [*found, many.SerializeToString()]


def _outside(location: str) -> bytes:
    model = _net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    serialized: bytes = model.SerializeToString()
    return serialized


def told() -> list[bytes]:
    """Return nets whose metadata has odd words, or contradicts the graph."""
    found = [
        _net(metadata).SerializeToString()
        for metadata in (
            {"names": "{'a': 'b'}"},
            {"names": "{1: 'b', 2: 'c'}"},
            {"mean": "[0.1, 0.2, 0.3, 0.4]", "std": "[0.1, 0.2, 0.3, 0.4]"},
            {"crop_pct": "0.9", "resize": "36", "interpolation": "PIL.Image.BICUBIC"},
            {"image_size": "[3, 32, 32]", "input_size": "[3, 48, 48]"},
            {"image_size": "[32, 32, 3]", "resize": "[40, 40]"},
            {"image_size": "64", "resize": "72"},
            {"range": "[0, 1]", "mean": "300", "std": "-1"},
        )
    ]
    centred = (
        "g (float[N,3,32,32] x) => (float[N,4] y) {"
        " s = Sub(x, m) d = Div(s, m) c = Conv(d, w) p = GlobalAveragePool(c) y = Flatten(p) }"
    )
    scaled = (
        "g (float[N,3,32,32] x) => (float[N,4] y) {"
        " s = Div(x, m) c = Conv(s, w) p = GlobalAveragePool(c) y = Flatten(p) }"
    )
    weights = {"m": np.full(1, 127.5, np.float32), "w": _ONES["w"]}
    for text, number in ((centred, 127.5), (scaled, 255.0)):
        for metadata in (
            {"Image.NominalPixelRange": "Normalized_0_1"},
            {"range": "[0, 1]", "mean": "0.5"},
        ):
            model = _parsed(text, {**weights, "m": np.full(1, number, np.float32)})
            for key, value in metadata.items():
                model.metadata_props.add(key=key, value=value)
            found.append(model.SerializeToString())
    denoted = _net()
    for dim, word in zip(
        denoted.graph.input[0].type.tensor_type.shape.dim,
        ("DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE"),
        strict=True,
    ):
        dim.denotation = word
    many = _parsed(
        "g (float[N,3,8,8] x) => (float[N,1001] y) {"
        " p = GlobalAveragePool(x) f = Flatten(p) y = MatMul(f, w) }",
        {"w": np.ones((3, 1001), np.float32)},
    )
    many.metadata_props.add(key="names", value=str([f"c{number}" for number in range(1000)]))
    return [*found, denoted.SerializeToString(), many.SerializeToString()]
