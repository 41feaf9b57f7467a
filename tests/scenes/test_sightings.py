"""The table visibility against the synthetic renderer's own masks, which share no code with it."""

from __future__ import annotations

import numpy as np

from rollout3d import tables
from rollout3d.config.frames import WHOLE_VIDEO, stored_sets
from rollout3d.geometry.frames import frame_set
from rollout3d.scenes.ingest import ingest_shard
from scenes.conftest import LINEAGE, ingested_without_depth, settings


def masks(made, scene, recording):
    """Share (frames of the video, things) of the picture that each thing covers, and thing -> object id."""
    n = len(recording.world.things)
    film = np.stack([np.bincount(owner[owner >= 0], minlength=n) / owner.size for _, _, owner in recording.frames()])
    # ScanNet++'s video is read at 30 frames per second, and shows each frame of the film several times.
    hold = round(scene["n_frames"] / len(film)) if made.dataset == "scannetpp" else 1
    index = np.minimum(np.arange(scene["n_frames"]) // hold, len(film) - 1)
    ids = made.truth(scene["scene_id"])["release"]["object_ids"]
    return film[index], {int(thing): number for thing, number in ids.items()}


def test_objects_are_seen_where_the_renderers_masks_show_them(made):
    config = settings()
    compared = 0
    for scene, recording in made.recordings():
        share, ids = masks(made, scene, recording)
        rows = {(row["object_id"], row["sampling"]): row for row in made.of("visibility", scene["scene_id"])}
        names = {*stored_sets(config), WHOLE_VIDEO}
        assert {key[1] for key in rows} == names
        assert {key[0] for key in rows} == {row["object_id"] for row in made.of("objects", scene["scene_id"])}
        poses = {row["frame_index"]: row["pose"] for row in made.of("frames", scene["scene_id"])}
        lost = {index for index, pose in poses.items() if pose is None}
        if made.dataset == "scannetpp":  # its phone stops before its video, and only stored frames say so
            names -= {WHOLE_VIDEO}
        else:
            assert lost <= set(recording.lost)
            lost = set(recording.lost)
        for name in names:
            every = range(scene["n_frames"])
            indices = every if name == WHOLE_VIDEO else frame_set(name).indices(scene["n_frames"], scene["fps"])
            indices = [index for index in indices if index not in lost]
            for thing, object_id in ids.items():
                row, mine = rows[object_id, name], share[indices, thing]
                assert row["n_frames"] == len(indices)
                if mine.max() >= 0.003:
                    assert row["n_clear"], (scene["scene_id"], name, thing)
                if mine.max() < 0.001 and made.dataset != "arkitscenes":
                    assert not row["n_clear"], (scene["scene_id"], name, thing)
                slack = 0.002 + 0.1 * mine.max()
                # ARKitScenes has boxes only: an object's holds parts of its neighbours.
                assert row["largest_share"] >= mine.max() - slack
                assert row["largest_share"] <= mine.max() + slack or made.dataset == "arkitscenes"
                clear = np.flatnonzero(mine >= 0.003)
                if len(clear):
                    seconds = np.array(indices) / scene["fps"]
                    assert row["first_faint_s"] <= row["first_clear_s"] <= seconds[clear[0]] + 1e-9
                    assert row["last_clear_s"] >= seconds[clear[-1]] - 1e-9
                    compared += 1
        room = {row["sampling"]: row["room_share"] for row in rows.values()}
        assert min(room.values()) > 0 and max(room.values()) <= 1
    assert compared >= 50


def test_another_set_leaves_the_rows_of_the_others_as_they_are(made, tmp_path):
    config = settings()
    sets = stored_sets(config)
    ingest_shard(made.dataset, made.root, tmp_path, 0, 1, config, LINEAGE, {*sets, "uniform3"})
    paths = [folder / "visibility.parquet" for folder in (made.tables_dir, tmp_path)]
    for part in (*sets, WHOLE_VIDEO):
        assert len({tables.content_digest(path, [part]) for path in paths}) == 1
    assert len({tables.content_digest(path, ["uniform3"]) for path in paths}) == 2


def test_without_a_depth_sensor_the_mesh_hides(releases, tmp_path):
    made = releases["scannetpp"]
    scene = ingested_without_depth(made, tmp_path)
    rows = tables.read(tables.VISIBILITY, tmp_path / "out" / "visibility.parquet")
    measured = made.of("visibility", scene)
    assert [(r["object_id"], r["sampling"]) for r in rows] == [(r["object_id"], r["sampling"]) for r in measured]
    gaps = [abs(a["largest_share"] - b["largest_share"]) for a, b in zip(rows, measured)]
    assert np.mean(np.array(gaps) < 0.005) > 0.95
