"""What a Ray of one command keeps to itself; no Ray is started here."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from resnet_deploy.processes import ray_session


def test_each_ray_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes inherit it; nothing else on the machine knows it, and it goes with it."""
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    ray_session.imported()
    tokens = []
    for _ in range(2):
        with ray_session._own_token():
            tokens.append(os.environ["RAY_AUTH_TOKEN"])
        assert "RAY_AUTH_TOKEN" not in os.environ
    assert [len(token) for token in tokens] == [64, 64]
    assert len(set(tokens)) == 2
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the user's own")
    with ray_session._own_token():
        assert os.environ["RAY_AUTH_TOKEN"] == "of the user's own"
    assert os.environ["RAY_AUTH_TOKEN"] == "of the user's own"


def test_the_list_of_jobs_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of a cluster may read there how each of its jobs was started."""
    ray_session.imported()
    utils = importlib.import_module("ray._private.utils")
    words = ["python", "-m", "resnet_deploy", "evaluate", "--data", "https://u:secret@host/x?sig"]
    monkeypatch.setattr(sys, "orig_argv", words)
    before = utils.get_entrypoint_name
    with ray_session._public_command():
        shown = utils.get_entrypoint_name()
    assert shown == "python -m resnet_deploy evaluate --data 'https://***@host/x?***'"
    assert utils.get_entrypoint_name is before
