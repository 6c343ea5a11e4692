"""Write and_gate.h5 (the truth table of AND) and and_gate.txt, the list that names it, into the current folder."""

from pathlib import Path

import h5py
import numpy as np

pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
with h5py.File("and_gate.h5", "w") as f:
    f["data"] = pairs
    f["label"] = pairs.prod(axis=1, keepdims=True)
Path("and_gate.txt").write_text("and_gate.h5\n")
print("and_gate.h5: 4 rows")
