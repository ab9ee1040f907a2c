import json
from dataclasses import replace

from resnet_deploy.report import csv
from resnet_deploy.report.views.training import epoch_line
from resnet_deploy.results import Environment, from_dict, to_dict
from resnet_deploy.results.training import TrainingResult
from resnet_deploy.runners.cpu import environment
from tests.support.reports.samples import training
from tests.support.terminal import printed

RESULT = training()


def test_a_line_per_epoch() -> None:
    assert epoch_line(RESULT.epochs[3], 7) == (
        "epoch 4/7  loss 1.2500  train 50.00%  test 60.00%  lr 0.05  250 images/s (4 s)"
    )


def test_the_report_ends_with_the_command_that_deploys() -> None:
    shown = printed(RESULT)
    assert (
        "resnet8, 75,000 parameters, on synthetic: 1,000 training and 500 test images of 3" in shown
    )
    assert "note: the head is new" in shown
    assert "top-1 60.00% on 500 test images after the last epoch; best 70.00% (epoch 3)" in shown
    assert shown.splitlines()[-1] == f"  deploy it: {RESULT.export}"
    rows = [line.split()[0] for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert rows == ["3", "4", "5", "6", "7"]
    assert "and 2 more: see --json" in shown
    assert csv(RESULT).count("\n") == 1 + 7


def test_a_run_that_was_stopped_says_how_to_go_on() -> None:
    for epochs in (RESULT.epochs, ()):
        shown = printed(replace(RESULT, interrupted="SIGINT", epochs=epochs))
        assert "interrupted; saved in runs/r/last.pt: --resume goes on from there" in shown


def test_results_round_trip_through_json() -> None:
    machine: Environment = environment("resnet-deploy train")
    result = replace(RESULT, environment=machine)
    data = json.loads(json.dumps(to_dict(result)))
    assert data["top1"] == RESULT.top1
    assert data["seconds"] == 28
    assert data["epochs"][0]["images_per_second"] == 250
    assert from_dict(TrainingResult, data) == result


def test_of_no_epoch() -> None:
    result = replace(RESULT, epochs=())
    assert (result.top1, result.best, result.seconds) == (None, None, 0)
    assert from_dict(TrainingResult, to_dict(result)) == result
