"""A small release of VSI-Bench, shared by the tests of questions and of videos."""

from __future__ import annotations

import pytest

from evaluation import vsibench_release


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    vsibench_release.write_folders(root)
    return root


@pytest.fixture()
def release(tmp_path, videos):
    """The whole release; its folders of videos are shared: replace a folder (`own_folder`) before changing it."""
    root = tmp_path / "vsibench"
    vsibench_release.write_questions(root)
    for dataset in vsibench_release.SCENES:
        (root / dataset).symlink_to(videos / dataset)
    return root
