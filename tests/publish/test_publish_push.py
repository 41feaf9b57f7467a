"""Uploads to the Hub: only on request, private by default, with a token of the environment; else no network at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml

from publish.hub_server import serve
from publish.published_study import build

pytest.importorskip("huggingface_hub", reason="an extra: pip install 'rollout3d[publish]'")

TOKEN = "hf_" + "x" * 30
BLOCKED = """
import socket, sys
def refuse(*_):
    raise SystemExit("the network was used")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from rollout3d.stages.publish import main
main(sys.argv[1:])
assert "huggingface_hub" not in sys.modules
"""


@pytest.fixture
def hub():
    with serve() as running:
        yield running


def command(study, hub, *options, what="data", **variables):
    """Run the command in a process of its own, which knows no Hub but the local server."""
    own = {"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    own |= {"HF_HOME": str(study.root / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"} | variables
    environment = {key: value for key, value in {**os.environ, **own}.items() if value is not None}
    arguments = [what, str(study.root / "out"), "--results", str(study.results), *options]
    arguments = [sys.executable, "-m", "rollout3d.stages", "publish", *arguments]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=500)


def test_a_push_uploads_the_folder_without_its_manifest_to_a_private_repository(study, hub):
    done = command(study, hub, "--push", "me/questions")
    assert done.returncode == 0, done.stderr
    assert f"uploaded: {hub.address}/datasets/me/questions" in done.stdout
    folder = study.root / "out"
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    held = {name: data for name, data in held.items() if name != ".rollout3d.json"}
    assert hub.files == held and "README.md" in held
    assert hub.repos == {"me/questions": True} and hub.created[0]["type"] == "dataset"
    assert hub.tokens == {f"Bearer {TOKEN}"} and TOKEN not in done.stdout + done.stderr
    assert {card["repoType"] for card in hub.cards} == {"dataset"}
    assert yaml.safe_load(hub.cards[0]["content"].split("---")[1])["license"] == "other"


def test_a_public_repository_is_made_or_filled_only_on_request(study, hub):
    hub.repos["me/questions"] = False
    done = command(study, hub, "--push", "me/questions")
    assert done.returncode == 1 and "the repository is public; give --public too" in done.stderr and not hub.files
    done = command(study, hub, "--push", "me/questions", "--public")
    assert done.returncode == 0 and hub.files, done.stderr
    done = command(study, hub, "--push", "me/other", "--public")
    assert done.returncode == 0 and hub.repos["me/other"] is False


def test_pictures_under_terms_that_forbid_it_are_never_made_public(study, hub):
    done = command(study, hub, "--push", "me/questions", "--public", "--with-frames")
    assert done.returncode == 1 and "the terms of scannet forbid to pass pictures on" in done.stderr
    assert not hub.requests


@pytest.mark.parametrize(
    ("repo", "variables", "why"),
    [
        ("me/questions", {"HF_TOKEN": None}, "the variable HF_TOKEN is not set"),
        ("questions", {}, "name a repository as OWNER/NAME"),
        ("me/que..stions", {}, "--push me/que..stions: "),
    ],
)
def test_a_push_that_cannot_work_is_refused_before_anything_is_written(study, hub, repo, variables, why):
    (study.root / "home").mkdir()
    (study.root / "home" / "token").write_text(TOKEN)  # where the Hub's client would find one
    done = command(study, hub, "--push", repo, **variables)
    assert done.returncode == 1 and why in done.stderr
    assert not hub.requests and not (study.root / "out").exists()


def test_a_refused_upload_says_so_and_leaves_the_folder(study, hub):
    hub.refuse = 403
    done = command(study, hub, "--push", "me/questions")
    assert done.returncode == 1 and "Traceback" not in done.stderr and TOKEN not in done.stderr
    assert "error: --push me/questions: " in done.stderr and "run the same command to try again" in done.stderr
    assert (study.root / "out" / "README.md").is_file()
    hub.refuse = 0
    assert command(study, hub, "--push", "me/questions").returncode == 0 and hub.files


def test_without_a_push_no_data_touch_the_network(tmp_path):
    study = build(tmp_path)
    arguments = ["data", str(tmp_path / "out"), "--results", str(study.results)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments], capture_output=True, text=True, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "README.md").is_file()
