"""Worlds as meshes, the walk of a camera through them, and the frames that it films."""
