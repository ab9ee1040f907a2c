from __future__ import annotations

import os
from pathlib import Path

import pytest

from resnet_deploy.artifact.cache import CACHE_VARIABLE, cache_folder, make_cache_for
from resnet_deploy.errors import ArtifactError


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "resnet-deploy"


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_it_follows_xdg(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == usual
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os, "getuid", lambda: Path.home().stat().st_uid)
    assert cache_folder() == Path.home() / ".cache" / "resnet-deploy"


def test_it_is_made_for_its_user_alone(usual: Path) -> None:
    make_cache_for(usual / "isa/logits/some.npy")
    assert mode(usual) == 0o700


def test_one_of_an_older_release_becomes_private(usual: Path) -> None:
    usual.mkdir(mode=0o755)
    make_cache_for(usual / "calibration")
    assert mode(usual) == 0o700


def test_a_named_folder_keeps_its_permissions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    tmp_path.chmod(0o770)
    make_cache_for(tmp_path / "calibration")
    assert mode(cache_folder()) == 0o770


def test_other_folders_are_not_made(usual: Path, tmp_path: Path) -> None:
    make_cache_for(tmp_path / "elsewhere/calibration")
    assert not usual.exists()


def test_no_folder_that_everybody_may_write_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    tmp_path.chmod(0o777)
    with pytest.raises(ArtifactError, match="everybody may write"):
        cache_folder()


def test_no_folder_of_another_user(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual.mkdir()
    other = usual.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(ArtifactError, match="belongs to another user"):
        cache_folder()
