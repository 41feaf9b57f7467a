"""Scans of a synthetic release, copied and damaged on disk the way that conversions and mix-ups damage real ones."""

from __future__ import annotations

import json
import re
import shutil
import struct

import cv2
import numpy as np

from rollout3d.geometry.boxes import OrientedBox
from scenes import mini


def folders(made):
    patterns = {"scannet": ["scans/*"], "scannetpp": ["data/*"], "arkitscenes": ["raw/*/*", "3dod/*/*"]}
    found = [path for pattern in patterns[made.dataset] for path in sorted(made.root.glob(pattern)) if path.is_dir()]
    assert found
    return found


def copied(made, base, which=0):
    """A copy of one scan with what it shares with others; its folder."""
    source = folders(made)[which]
    for path in made.root.rglob("*"):
        mine = source in path.parents
        shared = path.is_file() and path.relative_to(made.root).parts[0] not in ("scans", "data", "raw", "3dod")
        if path.is_file() and (mine or shared):
            mini.write_bytes(base / path.relative_to(made.root), path.read_bytes())
    return base / source.relative_to(made.root)


def change_poses(dataset, folder, change):
    """Rewrite the poses (N,4,4) on disk, camera-to-world in the release's own frame; lost ones are left alone."""
    if dataset == "scannet":
        path = folder / f"{folder.name}.sens"
        data = bytearray(path.read_bytes())
        (n_name,) = struct.unpack_from("<Q", data, 4)
        (n,) = struct.unpack_from("<Q", data, 296 + n_name)
        at, where = 304 + n_name, []
        for _ in range(n):
            where.append(at)
            at += 96 + sum(struct.unpack_from("<2Q", data, at + 80))
        poses = np.array([struct.unpack_from("<16f", data, at) for at in where]).reshape(-1, 4, 4)
        known = np.isfinite(poses).all(axis=(1, 2))
        for at, pose in zip(np.array(where)[known], change(poses[known])):
            struct.pack_into("<16f", data, at, *pose.ravel())
        path.write_bytes(data)
    elif dataset == "scannetpp":
        path = folder / "iphone" / "pose_intrinsic_imu.json"
        entries = json.loads(path.read_text())
        poses = change(np.array([entry["aligned_pose"] for entry in entries.values()]))
        for entry, pose in zip(entries.values(), poses):
            entry["aligned_pose"] = pose.tolist()
        path.write_text(json.dumps(entries))
        for name in ("colmap", "nerfstudio"):  # most users have no second opinion
            shutil.rmtree(folder / "iphone" / name, ignore_errors=True)
    else:
        (path,) = folder.rglob("lowres_wide.traj")
        rows = np.loadtxt(path)
        poses = np.tile(np.eye(4), (len(rows), 1, 1))
        for pose, row in zip(poses, rows):
            pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(row[1:4])[0], row[4:]
        stored = np.linalg.inv(change(np.linalg.inv(poses)))
        for row, matrix in zip(rows, stored):
            row[1:4], row[4:] = cv2.Rodrigues(matrix[:3, :3])[0].ravel(), matrix[:3, 3]
        np.savetxt(path, rows, "%.9f")


def change_mesh(folder, change):
    """Rewrite the vertices (V,3) of a scan's mesh, in the release's own frame."""
    (path,) = [
        path for path in folder.rglob("*.ply") if re.search(r"vh_clean_2|mesh_aligned_0.05|3dod_mesh", path.name)
    ]
    data = bytearray(path.read_bytes())
    start = data.index(b"end_header\n") + 11
    header = data[:start].decode().split("element face")[0]
    count = int(re.search(r"element vertex (\d+)", header)[1])
    kinds = re.findall(r"property (\w+) \w+", header)
    assert kinds[:3] == ["float"] * 3
    rest = sum({"float": 4, "uchar": 1}[kind] for kind in kinds[3:])
    vertices = np.frombuffer(data, np.dtype([("xyz", "<f4", 3), ("rest", "u1", rest)]), count, start)
    vertices["xyz"] = change(vertices["xyz"].astype(np.float64))
    path.write_bytes(data)


def change_boxes(dataset, folder, moved):
    """Move the annotated boxes by a 4x4 matrix, the mesh and its segments as they are."""
    pattern, key, groups = {
        "scannetpp": ("scans/segments_anno.json", "obb", lambda content: content["segGroups"]),
        "arkitscenes": (
            "*_3dod_annotation.json",
            "obbAligned",
            lambda content: [d["segments"] for d in content["data"]],
        ),
    }[dataset]
    (path,) = folder.glob(pattern)
    content = json.loads(path.read_text())
    for group in groups(content):
        obb = group[key]
        axes = np.reshape(obb["normalizedAxes"], (3, 3)) @ moved[:3, :3].T
        centre = moved[:3, :3] @ obb["centroid"] + moved[:3, 3]
        low, high = OrientedBox(centre, np.array(obb["axesLengths"]), axes).aabb()
        obb |= {"centroid": centre.tolist(), "normalizedAxes": axes.ravel().tolist()}
        obb |= {"min": low.tolist(), "max": high.tolist()} if "min" in obb else {}
    path.write_text(json.dumps(content))
