import sys
from pathlib import Path

# Last: its modules have everyday names.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
