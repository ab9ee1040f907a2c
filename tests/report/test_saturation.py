from resnet_deploy.report.views.saturation import sentence
from resnet_deploy.report.words import small_percent
from resnet_deploy.results import LayerSaturation, SaturationReport, from_dict, to_dict
from tests.support.terminal import printed, rows


def test_the_report_names_the_layers_that_overflow() -> None:
    layers = (
        LayerSaturation(name="conv1", weight_pairs=100, risky=0),
        LayerSaturation(
            name="layer2.0.conv1",
            weight_pairs=400,
            risky=7,
            sums=40_000,
            overflows=4,
            outputs=10_000,
            touched=2,
            largest=-41_000,
        ),
        LayerSaturation(name="fc", weight_pairs=40, risky=1, sums=40, outputs=10, largest=20_000),
    )
    report = SaturationReport(model="m.onnx", data="test", images=5, layers=layers)
    assert from_dict(SaturationReport, to_dict(report)) == report
    assert to_dict(report)["layers"][1]["touched_share"] == 2e-4
    assert sentence(report) == (
        "safe on x86 without VNNI (AVX2): no, because of layer2.0.conv1 (0.02% of its outputs) on "
        "5 images of test; made without --allow-overflow, it is safe"
    )
    shown = rows(printed(report))
    assert shown["layer2.0.conv1"][1:] == ["7", "400", "-41,000", "4", "0.02%"]
    assert "conv1" not in shown


def test_nothing_to_count() -> None:
    safe = SaturationReport(model="m.onnx", data="nothing", images=0, layers=())
    assert "no weights could overflow: nothing to count" in printed(safe)
    assert "yes, whatever the image" in printed(safe)


def test_small_shares_are_not_rounded_to_nothing() -> None:
    assert [small_percent(value) for value in (0, 0.2053, 1.4e-5, 4.8e-9)] == [
        "0.00%",
        "20.53%",
        "0.0014%",
        "4.8e-07%",
    ]
