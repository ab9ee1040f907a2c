from resnet_deploy.results.throughput import Spent, Throughput


def test_stages_are_rates_of_one_core_and_the_whole_one_of_all() -> None:
    spent = Spent(images=60, decoding=0.5, resizing=0.25, inference=3.0)
    spent += Spent(images=40, decoding=0.5, resizing=0.25, inference=3.0)
    through = Throughput(spent=spent, seconds=4.0, workers=2)
    assert str(through) == (
        "25 images/s on 2 cores, which were busy 94% of the time; one core alone decodes 100, "
        "resizes 200, infers 16.67 images/s"
    )


def test_nothing_is_no_rate() -> None:
    assert "did nothing" in str(Throughput(spent=Spent(), seconds=0.0, workers=1))
