"""`python -m pycaffe_lite` is `pycaffe-lite`."""

import sys

from pycaffe_lite.cli import main

sys.exit(main())
