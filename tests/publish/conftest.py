"""Results folders to publish."""

import pytest

from publish.published_study import build


@pytest.fixture
def study(tmp_path):
    """Questions about scans under terms of others, and general data with pictures."""
    return build(tmp_path)


@pytest.fixture
def rendered(tmp_path):
    """Questions about rendered rooms alone."""
    return build(tmp_path, synthetic=True, with_general=False)
