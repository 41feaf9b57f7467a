"""What the readers make of synthetic releases whose scans have, between them, every oddity of the real ones."""

from __future__ import annotations

import numpy as np

from rollout3d.geometry.camera import project
from toyworld.rooms.vocabulary import CATEGORIES


def test_raw_labels_become_the_benchmarks_categories_and_stay_as_they_are(made):
    """Among them labels that only the tables explain, such as couch."""
    renamed = 0
    for plan in made.plans():
        categories = {str(thing.thing_id): CATEGORIES[thing.category] for thing in made.film(plan).world.things}
        facts = made.truth(plan.scene_id)["release"]
        rows = {row["object_id"]: row for row in made.of("objects", plan.scene_id)}
        for thing, object_id in facts["object_ids"].items():
            row = rows[object_id]
            assert row["category"] == categories[thing].asked_as.get(made.dataset)
            assert row["label"] == facts["labels"][thing] and row["perturbable"]
            renamed += row["category"] not in (None, row["label"])
    assert renamed > 0


def test_points_of_an_object_project_onto_its_pixels(made):
    """The end of all conventions: axes, worlds, turns and sizes agree, or next to nothing lands."""
    for plan in made.plans():
        ids = made.truth(plan.scene_id)["release"]["object_ids"]
        right = total = 0
        with made.open(plan) as scan:
            objects = {item.object_id: item for item in scan.room.objects}
            for index, (_, depth, owner) in enumerate(made.film(plan).frames()):
                at = index * 6 if made.dataset == "scannetpp" else index
                if index % 4 or scan.camera(at)[1] is None:
                    continue
                for thing, object_id in ids.items():
                    points = scan.room.vertices[objects[object_id].vertex_index]
                    uv, z = project(*scan.camera(at), points)
                    ahead = z > 0.05
                    u, v = np.rint(uv[ahead]).astype(int).T
                    inside = (u >= 0) & (v >= 0) & (u < owner.shape[1]) & (v < owner.shape[0])
                    u, v, z = u[inside], v[inside], z[ahead][inside]
                    seen = np.abs(depth[v, u] - z) < 0.02
                    right, total = right + (owner[v, u] == int(thing))[seen].sum(), total + seen.sum()
        # ARKitScenes has no instances: what stands on a table or touches a sofa is in the box as well.
        assert total > 300 and right / total > (0.75 if made.dataset == "arkitscenes" else 0.9)
