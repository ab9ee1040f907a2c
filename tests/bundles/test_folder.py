from __future__ import annotations

import json
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.bundles.manifest import (
    MANIFEST_FILE,
    UNFINISHED_FILE,
    check_folder,
    listed_files,
    write_folder,
)
from resnet_deploy.errors import ArtifactError


def _write(folder: Path, **files: str) -> None:
    contents = {name.replace("__", "/"): text.encode() for name, text in files.items()}
    listed = {}
    for name, data in contents.items():
        other = folder.parent / "digest"
        other.write_bytes(data)
        listed[name] = sha256_of(other)
    manifest = {"tool": {"name": "resnet-deploy"}, "files": listed}
    write_folder(folder, {**contents, MANIFEST_FILE: json.dumps(manifest).encode()})


def test_a_newer_bundle_replaces_an_older_one_and_leaves_builds(tmp_path):
    folder = tmp_path / "bundle"
    check_folder(folder, force=False)
    _write(folder, code="old", golden__gone="case")
    (folder / "build").mkdir()
    (folder / "build/selftest").write_text("made by cmake")
    check_folder(folder, force=False)
    _write(folder, code="new")
    assert (folder / "code").read_text() == "new"
    assert not (folder / "golden").exists(), "Triton takes an empty folder for a model"
    assert (folder / "build/selftest").exists()


class KilledError(BaseException):
    """Nothing is done after it."""


@pytest.mark.parametrize("before", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_run_that_is_killed_while_files_are_moved_leaves_no_mixture(
    before, moves, tmp_path, monkeypatch
):
    folder = tmp_path / "bundle"
    if before:
        _write(folder, code="old", golden__gone="case", same="same")
    left = moves
    real = Path.replace

    def replace(path, target):
        nonlocal left
        if target.name != UNFINISHED_FILE:
            if left == 0:
                raise KilledError
            left -= 1
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KilledError):
            _write(folder, code="new", golden__case="case", same="same")
    assert not (folder / MANIFEST_FILE).exists(), "it would be of other files"
    check_folder(folder, force=False)  # the next run may go on
    _write(folder, code="newer", same="same")
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert names == {MANIFEST_FILE, "code", "same"}
    assert (folder / "code").read_text() == "newer"


def test_what_a_user_changed_after_a_kill_is_not_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    _write(folder, code="old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda path, **_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            _write(folder, code="new")
    (folder / "code").write_text("my own work")
    with pytest.raises(ArtifactError, match=r"code was changed since it was written"):
        check_folder(folder, force=False)


def test_what_a_killed_run_did_not_finish_is_nobodys_work(tmp_path):
    (tmp_path / ".resnet-deploy-0123456789abcdef.tmp").write_bytes(b"half")
    check_folder(tmp_path, force=False)


def test_what_a_user_changed_is_not_replaced(tmp_path):
    folder = tmp_path / "bundle"
    _write(folder, code="old")
    (folder / "code").write_text("my own work")
    with pytest.raises(ArtifactError, match=r"code was changed since it was written"):
        check_folder(folder, force=False)
    check_folder(folder, force=True)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ArtifactError, match="holds no bundle"):
        check_folder(tmp_path, force=False)
    with pytest.raises(ArtifactError, match="is a file"):
        check_folder(tmp_path / "thesis.txt", force=True)


def test_a_new_file_does_not_replace_one_of_a_user(tmp_path):
    folder = tmp_path / "bundle"
    _write(folder, code="old")
    (folder / "package.json").write_text("my own work")
    with pytest.raises(ArtifactError, match=r"package.json was not written by resnet-deploy"):
        write_folder(folder, {"package.json": b"ours"})
    assert (folder / "package.json").read_text() == "my own work"
    write_folder(folder, {"package.json": b"ours"}, force=True)
    assert (folder / "package.json").read_text() == "ours"


def test_empty_folders_do_not_count(tmp_path):
    (tmp_path / "golden/deep").mkdir(parents=True)
    check_folder(tmp_path, force=False)


@pytest.mark.parametrize("force", [False, True])
def test_no_file_is_written_through_a_link_in_the_folder(tmp_path, force):
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "golden").symlink_to("../elsewhere")
    with pytest.raises(ArtifactError, match="golden is a link"):
        write_folder(folder, {"a.txt": b"ours", "golden/deep/b.txt": b"ours"}, force=force)
    assert not list(elsewhere.iterdir())
    assert [path.name for path in folder.iterdir()] == ["golden"]
    (tmp_path / "named").symlink_to("elsewhere")
    write_folder(tmp_path / "named", {"golden/b.txt": b"ours"}, force=force)
    assert (elsewhere / "golden" / "b.txt").read_bytes() == b"ours"


def test_a_manifest_can_not_point_out_of_its_folder(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    manifest = {"tool": {"name": "resnet-deploy"}, "files": {"../precious": sha256_of(precious)}}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert listed_files(folder) == {}
    _write(folder, code="new")
    assert precious.exists()


def test_a_manifest_of_more_than_a_bundle_has_is_none(tmp_path):
    """Ten megabytes of names took minutes: each costs a look at all the folders above it."""
    for files, listed in (
        ({f"{n}": "x" for n in range(10_001)}, None),
        ({f"{n}": "x" for n in range(10_000)}, 10_000),
        ({"/".join("a" * 33): "x", "/".join("a" * 32): "x"}, 1),
    ):
        manifest = {"tool": {"name": "resnet-deploy"}, "files": files}
        (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest))
        found = listed_files(tmp_path)
        assert (None if found is None else len(found)) == listed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"tool": {"name": "other"}, "files": {}}',
        '{"tool": {"name": "resnet-deploy"}, "files": {"a\\u0000b": "x"}}',
        "[" * 100_000,
    ],
    ids=["empty", "list", "object", "other", "nul", "deep"],
)
def test_other_manifests_are_not_ours(tmp_path, text):
    (tmp_path / MANIFEST_FILE).write_text(text)
    assert listed_files(tmp_path) is None
