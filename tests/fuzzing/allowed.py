"""Which changes of the tables may pass without a word, each with the reason why no check of the file can know.

A change of values by local damage is one: a flipped bit of a coordinate or of a pixel is another right value. All else
that is silent is a fault, unless it stands in KNOWN: damage of a whole file (emptied, cut, noise, gone), and rows that
are lost or new.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

LOCAL = {
    *("bit_flipped", "bytes_swapped", "bytes_inserted", "bytes_lost", "block_of_zeros", "block_of_noise"),
    *("number_forged", "word_replaced", "latin1", "zero_byte", "line_doubled", "line_lost", "lines_swapped"),
    *("json_value_replaced", "json_number_changed", "json_type_changed", "json_part_lost", "json_part_doubled"),
    *("json_part_emptied", "json_key_renamed", "json_key_twice", "json_nested_deeper"),
}
"""Mutations that touch a part of a file's values."""


class Known(NamedTuple):
    """Patterns of file, mutation and each change, and the reason."""

    file: str
    mutation: str
    change: str
    reason: str


_SCAN = r"^(scenes|objects|frames|maps|visibility)"
_WHOLE = "emptied|cut|cut_near_the_end|all_zeros|all_noise|doubled|bytes_lost|removed|first_line_only"
_ROWS = "|".join(sorted(LOCAL))
KNOWN: list[Known] = [
    Known("", "another scan's", _SCAN, "another scan's file, which contradicts nothing"),
    Known(r"\.(sens|mk#?v|mp#|png|jpg)$", "video_of_black|picture_of_nothing", "", "pixels"),
    Known(
        r"/(vga_wide|lowres_wide|color)/|_images/|^pictures/",
        "picture_in_another_format|picture_of_other_depth|picture_with_alpha",
        "",
        "pixels",
    ),
    Known(
        r"\.pincam$|/(pose|intrinsic)/",
        "cut|cut_near_the_end",
        r"^(frames|scenes|maps|visibility)[.:]",
        "the last number of a text, cut within its digits",
    ),
    Known(
        r"\.sens$",
        "count_forged",
        r"frames.image|frames.K|maps|scenes.agreement|visibility",
        "values that nothing else in the release states",
    ),
    Known(
        r"depth\.bin$",
        "count_forged",
        "maps.appearances|scenes.agreement|visibility",
        "values that nothing else in the release states",
    ),
    Known(r"/(colmap|nerfstudio)/", "removed|a folder|a dead link", "scenes.flags", "an optional file is absent"),
    Known(r"scene#_#\.txt$", _WHOLE + "|utf16|blanks_only|" + _ROWS, r"scenes.scene_type", "an optional entry is gone"),
    Known(
        r"\.csv$",
        r"(another scan's)|separators_changed|" + _WHOLE + "|" + _ROWS,
        r"(scenes|objects)\.(space_id|category|object_counts|agreement)|maps.appearances|visibility",
        "an entry of a table; nothing counts them",
    ),
    Known(
        r"annotation\.json$|segments_anno\.json$|aggregation\.json$",
        _ROWS,
        r"(objects|visibility): (lost|new)|objects\.|scenes.(object_counts|agreement)|maps.appearances|visibility",
        "an object or its name; nothing counts them",
    ),
    Known(
        r"pose_intrinsic_imu\.json$|\.traj$|transforms_undist",
        _ROWS,
        r"frames.pose|frames.K|scenes.agreement|maps.appearances|visibility",
        "another pose",
    ),
    Known(
        r"train_test_lists\.json$",
        _ROWS,
        r"scenes.n_frames|scenes.agreement|frames|maps|visibility",
        "a picture more or less; nothing counts them",
    ),
    Known(r"meta_info_val\.json$", f"removed|{_ROWS}", "", "nothing lists the scenes"),
    Known(
        r"^predictions",
        f"json_number_of_a_million_digits|{_WHOLE}|{_ROWS}",
        "",
        "ids and texts; the score compares the ids with the benchmark's",
    ),
    Known(
        r"^(pictures|videos)/", r"(picture|video)_.*|doubled", "questions.media", "pixels; records state no checksum"
    ),
    Known(r"^questions\.json", _ROWS + "|" + _WHOLE, "questions", "the texts of records, and how many there are"),
    Known(
        r"^scannetpp/#\.mp#$", "video_.*", "frames", "another video; unpacked without its archive there is no checksum"
    ),
]
"""Beside changes of values by local damage. A pattern of a change must fit each of them; an empty one fits all."""


def why(file: str, mutation: str, changes: Sequence[str]) -> str | None:
    """The reason why this may change in silence; None if it may not."""
    rows = [each for each in changes if each.endswith((": lost", ": new"))]
    if mutation in LOCAL and not rows:
        return "values that nothing else in the release states"
    for known in KNOWN:
        if (
            re.search(known.file, file)
            and re.fullmatch(known.mutation or ".*", mutation)
            and all(re.search(known.change, each) for each in changes)
        ):
            return known.reason
    return None
