"""Builds what pyproject.toml cannot say: the compiled schema, and a wheel's copy of models/ for `pycaffe-lite demo`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def compile_schema() -> None:
    import grpc_tools
    from grpc_tools import protoc

    # The virtual path makes the registered file name ours, so that another caffe_pb2 in the process never clashes.
    status = protoc.main(
        [
            "protoc",
            f"--proto_path=pycaffe_lite/proto={ROOT / 'proto'}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={ROOT}",
            f"--pyi_out={ROOT}",
            "pycaffe_lite/proto/caffe.proto",
        ]
    )
    if status:
        raise SystemExit(f"protoc failed on proto/caffe.proto (status {status})")


class BuildPy(build_py):
    def run(self) -> None:
        compile_schema()
        super().run()
        if not self.editable_mode:  # a checkout uses models/ where it is
            self.copy_models()

    def copy_models(self) -> None:
        for file in sorted((ROOT / "models").glob("*/*.prototxt")):
            goal = Path(self.build_lib, "pycaffe_lite", file.relative_to(ROOT))
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, goal)


setup(cmdclass={"build_py": BuildPy})
