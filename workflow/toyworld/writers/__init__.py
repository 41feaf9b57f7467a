"""Synthetic worlds on disk, in the genuine formats of the three releases.

One writer a dataset (`scannet`, `scannetpp`, `arkitscenes`: `write_scan`), and `release`, which draws the worlds and
writes a whole release around them. The writers know the formats from their published descriptions and share no code
with the readers: a misunderstanding on either side shows as a disagreement.
"""
