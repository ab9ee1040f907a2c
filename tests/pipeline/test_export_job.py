from __future__ import annotations

import pytest

from resnet_deploy.errors import ArtifactError
from resnet_deploy.models.request import ModelRequest
from resnet_deploy.pipeline import ExportRequest, deploy
from resnet_deploy.results import Environment

HERE = Environment(command="test", cpu="", isa=(), cores=1, os="", python="", versions={})


@pytest.mark.parametrize("out", ["file", "file/below", "file/far/below"])
def test_an_output_folder_that_is_a_file_is_refused_before_the_work(out, tmp_path):
    (tmp_path / "file").write_text("mine")
    steps: list[str] = []
    request = ExportRequest(model=ModelRequest(depth=8), out=tmp_path / out)
    with pytest.raises(ArtifactError, match=r"file is a file, not a folder"):
        deploy(request, HERE, progress=lambda stage, done, total: steps.append(stage))
    assert steps == []
    assert (tmp_path / "file").read_text() == "mine"
