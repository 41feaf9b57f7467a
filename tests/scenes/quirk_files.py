"""Small parsers of the published layouts, for the tests of oddities in the files' bytes.

The tests compare what a reader returns with the recordings from which the files were written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text())
