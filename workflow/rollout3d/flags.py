"""The flags of a scene, one sentence each: oddities of a scan that stays usable.

A flag is a name, or a name and what belongs to it: `no_depth`, `lost_frames:12`. docs/flags.md is made from this file:

    python -m rollout3d.flags > docs/flags.md
"""

from __future__ import annotations

FLAGS: dict[str, dict[str, str]] = {
    "Objects": {
        "no_annotation": "The scan has no annotation, like those of a test split, and so no objects.",
        "unknown_label:LABEL": "No list of the release explains this raw label: its objects are perturbed like "
        "any other, and no question names them.",
        "refused_boxes:N": "N annotated boxes cannot be this room's. The objects are in no table and still count in "
        "object_counts, so there are no questions that need every box of their category.",
        "refused_box:ID LABEL: REASON": "One of the refused boxes, with what is wrong with it.",
        "objects_without_box:N": "N annotated objects have no box. They are treated like refused ones.",
        "empty_objects:N": "N annotated objects have no vertex of the mesh (ScanNet). They are not counted.",
        "duplicate_objects:N": "N objects are listed again with the same segments (ScanNet): each is read once.",
        "numbered_objects": "The annotation has no object ids (ARKitScenes): objects are numbered in its order.",
        "flat_box:CATEGORY": "A box has sides below a millimetre, which are padded to one.",
        "min_max_differ_from_box:CATEGORY": "The axis-aligned box that is stated beside an oriented box differs from "
        "it by more than a centimetre.",
    },
    "Room": {
        "no_axis_alignment": "The scan states no axisAlignment (ScanNet): its axes are those of the recording.",
        "no_mesh_colors": "The mesh has no colours: the map from above is grey.",
        "mesh:FORM": "The mesh is not the usual file but this form of it.",
        "no_label_table": "The release's label table is missing: categories come from the lists of this package alone.",
    },
    "Video": {
        "video:FORM": "The frames are not the usual file but this form of them.",
        "damaged:FILE": "This file or folder has priority, but is damaged: another form of the same asset is read. "
        "Without another form of depth, the mesh's is used.",
        "incomplete:FILE": "This file or folder has priority, but lacks intrinsics or poses: another form of the same "
        "asset is read.",
        "thinned_video:N": "The video is a copy with every N-th frame; poses and depth are those of its frames "
        "(ScanNet++).",
        "dslr_pictures": "The video is made of DSLR pictures, because the phone's is missing (ScanNet++).",
        "undistorted_here": "The DSLR pictures were undistorted by this package, not by the release's tool.",
        "every_nth_frame:N": "Only every N-th frame of the recording is there.",
        "video_gaps:N": "In N places frames are missing in time: later frames come earlier than they should.",
        "video_repeats:N": "N frames have the time of the frame before.",
        "video_backwards:N": "N frames have an earlier time than the frame before.",
        "video_ends_early:A_of_B": "The video ends at A, the recording states B.",
        "video_rate:A_not_B": "The times of the frames give a rate of B per second, the file states A.",
        "video_shorter_than_poses:N": "The poses continue for N frames after the end of the video (ScanNet++).",
        "color_resized:WxH": "The colour pictures are of this size, and their intrinsics were resized to it.",
        "mixed_orientation:N%": "This share of the frames is turned against gravity: one turn serves a whole video, "
        "and no turn is right for all of its frames.",
    },
    "Cameras": {
        "no_poses": "No frame of the video has a pose at all.",
        "lost_frames:N": "N stored frames have no pose; check-scan counts all frames of the video.",
        "frames_without_labels:N": "N frames have no picture in the archive of label pictures (ScanNet): an object may "
        "come into view before the first frame that they tell.",
        "trajectory:FORM": "The poses are not the usual file but this form of them (ARKitScenes).",
        "poses_off_colmap:DIFFERENCE": "The poses differ noticeably from COLMAP's (ScanNet++).",
        "poses_off_nerfstudio:DIFFERENCE": "The poses differ noticeably from nerfstudio's (ScanNet++).",
        "colmap_unreadable": "COLMAP's cameras cannot be read: the poses were not compared with them.",
        "nerfstudio_unreadable": "nerfstudio's cameras cannot be read: the poses were not compared with them.",
        "colmap_shares_images:N": "COLMAP's file shares only N images with the poses: they were not compared.",
        "nerfstudio_shares_images:N": "nerfstudio's file shares only N images with the poses: they were not compared.",
        "poses_repeats:N": "N entries of the trajectory have the time of the entry before: the first of them is taken.",
        "poses_backwards:N": "N entries of the trajectory are earlier than the entry before: they were sorted.",
        "intrinsics_of_meta:STREAM": "The intrinsics of this stream come from the scan's .txt file.",
        "frames_without_intrinsics:N": "N frames have no intrinsics of their own: the nearest ones are used.",
        "intrinsics_without_frames:N": "N files of intrinsics belong to no frame: pictures are missing.",
    },
    "Depth": {
        "no_depth": "The scan has no sensor's depth: the mesh's is used wherever depth is.",
        "depth_missing:N": "Of the frames that were examined, N have no depth that can be used: it is absent, "
        "damaged, of another size, or unknown everywhere. The mesh's is used there.",
        "depth_unusable": "None of the frames that were examined has depth that can be used.",
        "depth_ends_early:A_of_B": "The depth ends at A seconds, the video at B.",
        "depth_resized:WxH": "The depth pictures are of this size, and their intrinsics were resized to it.",
        "frames_without_depth:N": "N frames of an exported scan have no depth picture.",
    },
    "Published boxes (`ingest-meta`)": {
        "meta_only": "The scene was read from published boxes: it has no mesh and no video.",
        "no_visit_id": "The visit is not stated, so that other videos of the same flat are not known (ARKitScenes).",
        "no_room_size": "The size of the room is not stated: no question asks for it.",
        "copied_boxes:CATEGORY": "Exact copies of a box were left out, because the category has more boxes than its "
        "count.",
        "boxes_differ_from_count:CATEGORY": "The category has another number of boxes than its count: it is "
        "counted, and nothing of it is measured.",
        "renumbered_objects": "Instance ids are missing, repeated or no whole numbers: boxes are numbered in order.",
    },
}
"""Group -> form of a flag -> its meaning."""


def name_of(flag: str) -> str:
    """Return the name of a flag, or of its form, without what belongs to it."""
    return flag.partition(":")[0]


def meaning(flag: str) -> str | None:
    """Return the sentence on a flag; None for one that is not known."""
    return {name_of(form): text for group in FLAGS.values() for form, text in group.items()}.get(name_of(flag))


def markdown() -> str:
    """Return docs/flags.md."""
    lines = [
        "# Flags of a scene",
        "",
        "The column `flags` of the table `scenes` names what is odd about a scan without making it useless. What makes",
        "it useless is a row of `scenes_dropped`, with file and reason. `rollout3d check-scan` prints the flags of one",
        "scan. This page is made by `python -m rollout3d.flags > docs/flags.md`.",
    ]
    for group, flags in FLAGS.items():
        lines += ["", f"## {group}", "", "| flag | meaning |", "|---|---|"]
        lines += [f"| `{form}` | {text} |" for form, text in flags.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
