"""`import caffe` in a process that a script run by pycaffe-lite has started: pycaffe_lite takes this module's place."""

import importlib.util
import os
import sys

if __name__ == "caffe":
    if importlib.util.find_spec("pycaffe_lite") is None:
        sys.path.append(os.path.abspath(os.path.join(__path__[0], *[os.pardir] * 3)))
    from pycaffe_lite._install import install_as_caffe

    del sys.modules["caffe"]
    install_as_caffe()
