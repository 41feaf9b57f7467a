"""Procedural rooms: drawn from a seed, filmed, and written in the file formats of ScanNet, ScanNet++ and ARKitScenes.

For tests of readers of these formats, and for pipelines that must run where no licensed data is. What is true of a
room is exact, and written beside the files.

    from toyworld.rooms.world import build_world
    from toyworld.rendering.recording import record
    from toyworld.writers import scannet

    world = build_world(seed=7, n_objects=(15, 20))
    recording = record(world, seconds=4.0, fps=10, width=160, height=120)
    scannet.write_scan(recording, Path("release"), "scene0000_00", seed=7)

`rooms`, `rendering` and `writers` import no reader, no geometry and no model of `rollout3d`, so they can serve as an
independent reference for them. `model` and `stages` use `rollout3d`, which never imports this package. README.md has
the map of the package. Importing it loads nothing.
"""
