"""Write two classes of points in four dimensions into train.h5 and test.h5, with the lists train.txt and test.txt.

Two of the dimensions carry the class, one is their sum with noise, one is noise; 5 % of the labels are flipped, so
that about 92 % is the best that can be had.
"""

from pathlib import Path

import h5py
import numpy as np

rng = np.random.default_rng(1)
n = 10_000
label = rng.integers(0, 2, n)
centre = np.where(label[:, None] == 1, [1.2, -0.9], [-1.2, 0.9])
informative = centre + rng.normal(0, 0.8, (n, 2))
redundant = informative.sum(axis=1, keepdims=True) + rng.normal(0, 0.3, (n, 1))
data = np.hstack([informative, redundant, rng.normal(0, 1, (n, 1))]).astype(np.float32)
label = np.where(rng.random(n) < 0.05, 1 - label, label).astype(np.float32)

for name, rows in (("train", slice(0, 7_500)), ("test", slice(7_500, n))):
    with h5py.File(f"{name}.h5", "w") as f:
        f["data"], f["label"] = data[rows], label[rows]
    Path(f"{name}.txt").write_text(f"{name}.h5\n")
    print(f"{name}.h5: {len(data[rows])} rows")
