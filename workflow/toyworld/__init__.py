"""Procedural rooms for tests and presets: built, rendered, and written in the formats of the releases.

The rooms, the renderer and the writers import no reader, no geometry and no model of `rollout3d`, so that they can
serve as an independent reference for them. `model` and `stages` use `rollout3d`, which never imports this package.
"""
