"""How fast the project is, beside what else could be done on the same machine in the same run (see README.md)."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))  # the package of this checkout, which need not be installed
