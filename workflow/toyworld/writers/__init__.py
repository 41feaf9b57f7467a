"""Write recordings of worlds in the file formats of the three releases.

`scannet`, `scannetpp` and `arkitscenes` write one scan each (`write_scan`); `release` draws worlds and writes a whole
release. The writers follow the published descriptions of the formats and share no code with the readers of
`rollout3d`, so that an error on either side shows as a difference.
"""
