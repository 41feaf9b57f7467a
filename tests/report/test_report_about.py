"""What the page says about the study: date, version, commits, configuration, licence."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from pathlib import Path

from report.page_study import CONFIG
from rollout3d import provenance, tables
from rollout3d.config import Config
from rollout3d.report import about as about_module
from rollout3d.report.about import about
from rollout3d.report.page import render
from rollout3d.report.study import Files, collect

ROOT = Path(__file__).parents[2]


def words(page):
    """The page without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def noted(root, name, started, commit, stage="assemble"):
    """A table and a note on how it was made."""
    path = root / f"{name}.parquet"
    lineage = tables.Lineage(stage, {"name": name})
    tables.write(tables.HARD, path, [], lineage)
    place = root / provenance.FOLDER / stage / f"{lineage.identity}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"started": started, "commit": commit, "versions": {"torch": f"2.{name}"}}))
    return path


def test_date_and_commits_are_those_of_the_results_shown(tmp_path, monkeypatch):
    files = [
        noted(tmp_path, "2", "2026-03-01T23:30:00-0200", "bbb"),
        noted(tmp_path, "1", "2026-02-01T10:00:00+0000", "aaa"),
        noted(tmp_path, "0", "2026-01-01T10:00:00+0000", "bbb"),
    ]
    found = about(files, tmp_path, {})
    assert found.date == "2026-03-02", "the day in UTC"
    assert found.commits == ("aaa", "bbb"), "the newest result's last"
    assert found.software == ("torch 2.0 and 2.1 and 2.2",)
    monkeypatch.setattr(provenance, "commit", lambda: "ccc")
    other = noted(tmp_path, "3", "2025-01-01T10:00:00+0000", None)
    assert about([*files, other], tmp_path, {}).commits == ("outside git", "aaa", "bbb")
    time.sleep(0.01)
    files[0].touch()
    assert about(files, tmp_path, {}) == found, "no time of a file counts"


def test_without_notes_the_date_is_that_of_the_newest_file(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "ccc+")
    files = [noted(tmp_path, name, "2026-03-01T10:00:00+0000", "aaa") for name in "01"]
    os.utime(files[0], (86400 * 365, 86400 * 365))
    os.utime(files[1], (86400 * 364, 86400 * 364))
    found = about(files, None, {})
    assert (found.date, found.commits, found.software) == ("1971-01-01", ("ccc+",), ())
    page = words(render(collect(Files(), CONFIG, found)))
    assert "results of 1971-01-01" in page and "changes of its own" in page


def test_configuration_stands_on_the_page_without_places_of_this_machine():
    paper = about([], None, Config().model_dump(mode="json"))
    assert paper.changed == () and "no redistribution" in " ".join(paper.licences)
    values = {"results": "/secret/place", "site": {"openai_base_url": "https://user:secret@host/v1"}, "seed": 3}
    values |= {"grpo": {"lr": 0.5}, "datasets": {"scannet": {}}, "generation": {"batch_size": 3}}
    found = about([], None, values)
    assert dict((key, (here, theirs)) for key, here, theirs in found.changed if "datasets" not in key) == {
        "seed": ("3", "0"),
        "grpo.lr": ("0.5", "1e-06"),
    }
    assert ("datasets.arkitscenes.shards", "left out", "16") in found.changed
    assert "ARKitScenes" not in " ".join(found.licences) and found.digest != paper.digest
    page = render(collect(Files(), CONFIG, found))
    assert "secret" not in page and found.digest in page and "grpo.lr" in page
    assert about([], None, values | {"results": "/other", "site": {}}) == found


def test_licence_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == about_module.LICENCE
    page = words(render(collect(Files(), CONFIG, about([], None, {}))))
    assert "licence Apache-2.0" in page and f"rollout3d {project['version']}" in page
