"""Scripts run as they stand: what they see, and what one sees of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pycaffe_lite._install import CHILDREN as CHILDREN_FOLDER
from pycaffe_lite.as_caffe import run_script

ROOT = Path(__file__).parents[1]


@dataclass
class Result:
    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(params=["run", "as_caffe"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Writes a script into a folder `scripts` and runs it from the folder above, in both ways."""
    (tmp_path / "scripts").mkdir()
    runner = ["pycaffe_lite", "run"] if request.param == "run" else ["pycaffe_lite.as_caffe"]

    def run(code: str | bytes, *arguments: str, **environ: str) -> Result:
        (tmp_path / "scripts" / "a.py").write_bytes(code if isinstance(code, bytes) else code.encode())
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", *runner, os.path.join("scripts", "a.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "GLOG_minloglevel": "2", "PYTHONPATH": str(ROOT), **environ},
            capture_output=True,
            text=True,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def test_what_a_script_sees(script: Run, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "beside.py").write_text("import caffe\nwhere = caffe.__name__")
    (tmp_path / "here.py").write_text("")
    done = script(
        """
import sys, os
assert 'caffe' not in sys.modules
import caffe, beside, here
assert beside.where == 'pycaffe_lite', beside.where
assert sys.path[0] == os.path.join(os.getcwd(), 'scripts')
assert __name__ == '__main__' and __file__ == sys.argv[0] == os.path.join('scripts', 'a.py')
assert sys.modules['__main__'].caffe is caffe
import pickle
class Own: pass
assert type(pickle.loads(pickle.dumps(Own()))) is Own
print(sys.argv[1:])
""",
        "-solver=x", "--debug", "--", "-h", "a b",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert done.out == "['-solver=x', '--debug', '--', '-h', 'a b']\n"


@pytest.mark.parametrize(
    ("code", "status", "err"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('so long')", 1, "so long\n"),
        ("exit(3)", 3, ""),
    ],
)
def test_exit_statuses(script: Run, code: str, status: int, err: str) -> None:
    done = script(code)
    assert (done.status, done.out, done.err) == (status, "", err)


def test_tracebacks_show_the_script_only(script: Run) -> None:
    done = script("import caffe\ndef load(name):\n    return caffe.Net(name, caffe.TEST)\n\nload('none.prototxt')\n")
    assert done.status == 1
    lines = [line.strip() for line in done.err.splitlines() if not set(line.strip()) <= set("^~")]
    assert lines[:-1] == [
        "Traceback (most recent call last):",
        f'File "{os.path.join("scripts", "a.py")}", line 5, in <module>',
        "load('none.prototxt')",
        f'File "{os.path.join("scripts", "a.py")}", line 3, in load',
        "return caffe.Net(name, caffe.TEST)",
    ]
    assert lines[-1].startswith("pycaffe_lite.errors.MissingFileError: There is no file ")


LAYER = """
import caffe
class Bad(caffe.Layer):
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        try:
            {}['key']
        except KeyError:
            raise ZeroDivisionError('in forward')
"""


def test_tracebacks_show_a_users_layer_and_chained_errors(script: Run, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "mylayers.py").write_text(LAYER)
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "p" type: "Python" top: "x" python_param { module: "mylayers" layer: "Bad" } }'
    )
    done = script("import caffe\nnet = caffe.Net('n.prototxt', caffe.TEST)\nnet.forward()\n")
    assert done.status == 1
    lines = done.err.splitlines()
    if sys.version_info >= (3, 11):
        assert lines.pop() == "Raised in forward (layer 'p' of type Python, n.prototxt:1:1)"
    assert lines[-1] == "ZeroDivisionError: in forward"
    files = [line.split('"')[1] for line in done.err.splitlines() if line.startswith("  File ")]
    assert [Path(f).name for f in files] == ["mylayers.py", "a.py", "mylayers.py"]
    assert "KeyError: 'key'" in done.err


def test_what_goes_wrong_in_our_code_is_shown(script: Run) -> None:
    done = script("import caffe\ncaffe.layers.ReLU(3)\n")
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("TypeError: ReLU input 0 is not a Top")
    assert "net_spec.py" in done.err
    assert "as_caffe.py" not in done.err


CHILDREN = {
    "spawn": """
import multiprocessing, sys
import caffe
from caffe.io import Transformer
def where(n):
    import caffe.proto.caffe_pb2
    return caffe.__name__, Transformer.__module__, n
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(where, [7])[0])
""",
    "subprocess": """
import subprocess, sys
code = "import caffe; from caffe.io import Transformer; print((caffe.__name__, Transformer.__module__, 7))"
subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd="/")
""",
    "another script": """
import pathlib, subprocess, sys
code = "import caffe; from caffe.io import Transformer; print((caffe.__name__, Transformer.__module__, 7))"
pathlib.Path("b.py").write_text(code)
subprocess.run([sys.executable, "-m", "pycaffe_lite", "run", "b.py"], check=True)
""",
}


@pytest.mark.parametrize("code", CHILDREN.values(), ids=CHILDREN)
def test_processes_that_a_script_starts_find_caffe(script: Run, code: str) -> None:
    done = script(code, GLOG_minloglevel="1")
    assert (done.status, done.err) == (0, "")
    assert done.out == "('pycaffe_lite', 'pycaffe_lite._transformer', 7)\n"


def test_a_child_finds_us_where_only_the_script_did(tmp_path: Path) -> None:
    """By PYTHONPATH it has the folder with caffe in it, and nothing else."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import caffe"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": CHILDREN_FOLDER},
        capture_output=True,
        text=True,
    )
    assert "No module named 'numpy'" in done.stderr  # nor site-packages; ours was found


@pytest.mark.parametrize("path", [None, "some where"])
def test_the_environment_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path:
        monkeypatch.setenv("PYTHONPATH", path)
    file = tmp_path / "a.py"
    file.write_text("import os, pathlib; pathlib.Path('seen').write_text(os.environ['PYTHONPATH'])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert run_script(str(file), []) == 0
    assert Path("seen").read_text() == os.pathsep.join([CHILDREN_FOLDER, path] if path else [CHILDREN_FOLDER])
    assert os.environ.get("PYTHONPATH") == path


def test_errors_before_a_script_begins(script: Run) -> None:
    done = script("print 'Python 2'\n")
    assert done.status == 1
    assert "SyntaxError: Missing parentheses in call to 'print'" in done.err
    assert "as_caffe.py" not in done.err
    done = script("import sys\nsys.excepthook = lambda *e: print('hooked', e[0].__name__)\n1 / 0\n")
    assert (done.status, done.out) == (1, "hooked ZeroDivisionError\n")


def test_interrupted(script: Run) -> None:
    done = script("raise KeyboardInterrupt\n")
    assert done.status == 130
    assert done.err.splitlines()[-1] == "KeyboardInterrupt"


def test_encodings_of_scripts(script: Run) -> None:
    assert script("# coding: latin-1\nprint(ascii('ä'))\n".encode("latin-1")).out == "'\\xe4'\n"
    assert script("\ufeffprint(1)\n".encode()).out == "1\n"


DUMMY = 'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }'


def test_the_log_goes_to_stderr_as_caffes_does(script: Run, tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(DUMMY)
    build = "caffe.Net('n.prototxt', caffe.TEST)\n"
    assert "Creating Layer d" in script(f"import caffe\n{build}", GLOG_minloglevel="0").err
    assert script(f"import caffe\n{build}", GLOG_minloglevel="2").err == ""
    quiet = (
        f"import os\nos.environ['GLOG_minloglevel'] = '2'\nimport caffe\n{build}caffe.init_log(0)\ncaffe.log('mine')"
    )
    err = script(quiet, GLOG_minloglevel="0").err
    assert err.endswith("a.py:6] mine\n")
    assert "Creating Layer" not in err


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    for runner, status in (["pycaffe_lite", "run"], 1), (["pycaffe_lite.as_caffe"], 2):
        done = subprocess.run(
            [sys.executable, "-m", *runner, "none.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status
        assert "There is no file" in done.stderr
        assert "Traceback" not in done.stderr


def test_no_script(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pycaffe_lite.as_caffe"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")


def test_debug_shows_everything(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import caffe\ncaffe.Net('none.prototxt', caffe.TEST)\n")
    done = subprocess.run(
        [sys.executable, "-m", "pycaffe_lite", "run", "--debug", "--minloglevel", "3", "a.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "net.py" in done.stderr
