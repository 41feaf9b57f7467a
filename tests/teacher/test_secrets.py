"""A planted key and a password in the server's address, through the workflow itself: no file and no line shows them."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from dag.clones import copy_repository, snakemake
from rollout3d import tables
from teacher.server import Chat, Fails, serve
from teacher.stage_world import GOOD, World

KEY, PASSWORD = "sk-planted-9f8e7d6c5b4a", "hunter2-planted"
SECRETS = [KEY, PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode()]
TARGET = "results/tiny/cot/annotations.parquet"


@pytest.fixture
def clone(tmp_path):
    """A clone in which all is there that `annotate` reads, and a teacher that asks a server with a password."""
    folder = copy_repository(tmp_path / "clone")
    world = World(tmp_path / "tables", 20, 10)
    results = folder / "results" / "tiny"
    places = {"hard": ["difficulty/hard"], "ocr_rl": ["train/ocr_rl"]}
    shards = [f"scenes/{name}/0" for name in ("scannet", "scannetpp", "arkitscenes")]
    for name, kind, table in (("uniform32", "frames", tables.FRAMES), ("maps", "maps", tables.MAPS)):
        places[name] = [f"{shards[0]}/{kind}"]
        for other in shards[1:]:
            path = results / f"{other}/{kind}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            tables.write(table, path, [], tables.Lineage("test"))
    for name, (place,) in places.items():
        path = results / f"{place}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        world.path(name).rename(path)
    return folder


def run(clone: Path, base_url: str) -> tuple[int, str]:
    address = base_url.replace("://", f"://user:{PASSWORD}@")
    (clone / "config" / "local.yaml").write_text(
        f"preset: tiny\nsite: {{openai_base_url: '{address}'}}\nvideo: {{eval_frames: 32}}\n"
        "cot: {teacher: openai, max_usd: 5}\n"
    )
    found = snakemake(
        *(clone, "--cores", "1", "--allowed-rules", "annotate", "--", TARGET),
        OPENAI_API_KEY=KEY,
        PYTHONPATH=os.pathsep.join([str(clone / "workflow")]),
    )
    return found.returncode, found.stdout + found.stderr


def shown(clone: Path) -> list[str]:
    """Files of the clone that hold a secret, the user's own configuration aside."""
    return [
        str(path.relative_to(clone))
        for path in clone.rglob("*")
        if path.is_file() and path != clone / "config" / "local.yaml"
        if any(secret.encode() in path.read_bytes() for secret in SECRETS)
    ]


def test_neither_key_nor_password_is_in_any_file_or_line_of_a_failing_run_and_a_good_one(clone):
    sent = []

    def plan(body, n):
        sent.append(server.headers[n])
        repeated = " ".join([*SECRETS, str(server.headers[n]), server.base_url])
        return GOOD if n % 2 else Fails(400, f"refused: {repeated}")

    with serve(plan) as server:
        status, said = run(clone, server.base_url)
        assert status != 0 and "questions failed, more than MAX_SHARE_FAILED" in said, said
        assert f"gpt-4o at {server.base_url}" in said and "refused: [" in said
        assert not any(secret in said for secret in SECRETS), "printed"
        assert shown(clone) == []
        server.plan = lambda body, n: Chat(GOOD)
        status, said = run(clone, server.base_url)
        assert status == 0, said
    assert not any(secret in said for secret in SECRETS) and shown(clone) == []
    assert len(tables.read(tables.ANNOTATIONS, clone / TARGET)) == 20
    headers = {name.lower(): value for name, value in sent[0].items()}
    assert headers["authorization"] in {f"Bearer {KEY}", f"Basic {SECRETS[2]}"}, "the server was given a secret"
