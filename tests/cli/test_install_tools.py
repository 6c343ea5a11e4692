from __future__ import annotations

import errno
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pycaffe_lite.cli._arguments import verbs
from pycaffe_lite.cli.install_tools import _TOOLS

from .conftest import Cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts for sh")


def call(command: Path, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([command, *argv], capture_output=True, text=True, timeout=60, env=env, cwd=cwd)


def test_every_tool_is_a_verb() -> None:
    assert {verb for _, verb in _TOOLS.values()} - {""} <= {v.NAME for v in verbs()}


def test_a_folder_like_caffes_build(project: Path, cli: Cli) -> None:
    folder = project / "a folder"
    folder.mkdir()
    result = cli("install-tools", str(folder / "build"))
    assert result.status == 0
    assert "caffe" in result.out.split()
    made = {str(p.relative_to(folder / "build")) for p in folder.rglob("*") if p.is_file()}
    assert {"tools/caffe", "tools/caffe.bin", "tools/convert_imageset.bin"} < made
    assert {"examples/mnist/convert_mnist_data.bin", "examples/cifar10/convert_cifar_data.bin"} < made
    trained = call(folder / "build/tools/caffe", "train", "--solver=solver.prototxt", cwd=project)
    assert trained.returncode == 0, trained.stderr
    assert Path("small_iter_20.caffemodel").exists()
    assert call(folder / "build/tools/caffe.bin", "device_query").returncode == 0
    mean = call(folder / "build/tools/compute_image_mean", "images_lmdb", "mean file.binaryproto", cwd=project)
    assert mean.returncode == 0, mean.stderr
    assert Path("mean file.binaryproto").exists()


def test_on_the_path(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert cli("install-tools").status == 0
    assert {p.name for p in tmp_path.iterdir()} == set(_TOOLS)
    assert "train" in call(tmp_path / "caffe", "--help").stdout
    assert call(tmp_path / "convert_imageset", "no/", "list", "db").returncode == 1
    assert cli("install-tools").status == 0  # again, over its own
    (tmp_path / "convert_imageset").unlink()
    removed = cli("install-tools", "--remove").out
    assert removed.startswith(f"Removed from {tmp_path}:")
    assert set(removed.split()[3:]) == set(_TOOLS) - {"convert_imageset"}
    assert not list(tmp_path.iterdir())
    assert cli("install-tools", "--remove").out == f"There is nothing to remove in {tmp_path}.\n"


def test_a_caffe_that_is_there_stays(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "tools").mkdir()
    real = tmp_path / "tools" / "caffe"
    real.write_bytes(b"\x7fELF\xff")
    for flags in ((), ("--remove",)):
        result = cli("install-tools", str(tmp_path), *flags)
        assert result.status == 1
        assert f"{real} is there already" in result.error
        assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["caffe"]
        assert real.read_bytes() == b"\x7fELF\xff"


def test_a_place_that_cannot_be_written(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    result = cli("install-tools", str(tmp_path / "file"))
    assert result.status == 1
    assert "Cannot write" in result.error


def test_a_folder_of_a_commands_name(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "tools" / "caffe").mkdir(parents=True)
    for flags in ((), ("--remove",)):
        assert f"{tmp_path / 'tools' / 'caffe'} is there already" in cli("install-tools", str(tmp_path), *flags).error


def test_no_room_leaves_no_empty_commands(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "No space left on device" in cli("install-tools", str(tmp_path)).error
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
