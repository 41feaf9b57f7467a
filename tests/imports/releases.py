"""Small records in the form of each release, written here: no text of a licensed file stands in this repository."""

ORDER = "What will be the first-time appearance order of the following categories in the video: bed, tv, lamp, door?"
NEAREST = "Measuring from the closest point of each object, which of these objects (bed, sofa, stool, lamp) is the "
NEAREST += "closest to the tv?"
FOLLOWING = "Measuring from the closest point of each object, which of the following objects is the closest to the {}?"
DISTANCE = "Measuring from the closest point of each object, what is the direct distance between the {} and the {} "
DISTANCE += "(in meters)?"
SIZE = "What is the length of the longest dimension (length, width, or height) of the {}, measured in centimeters?"
ROOM = "What is the size of this room (in square meters)? \nIf multiple rooms are shown, estimate the size of the "
ROOM += "combined space."
EASY = "If I am standing by the {} and facing the {}, is the {} to the left or the right of the {}?"
ROUTE = (
    "You are a robot beginning at the {} facing the {}. You want to navigate to the {}. You will perform the following "
    "actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn right.'): 1. Go "
    "forward until the sofa 2. [please fill in] 3. Go forward until the {}. You have reached the final destination."
)
LETTER = "Answer with the option's letter from the given choices directly."
WORD = "Please answer the question using a single word or phrase."


def spacer(problem, solution, options=(), number=1, **changes):
    """SpaceR-151k: a scan's question, as its trainer reads it."""
    row = {
        "problem_id": number,
        "problem": problem,
        "data_type": "video",
        "problem_type": "multiple choice" if options else "numerical",
        "options": list(options),
        "solution": f"<answer>{solution}</answer>",
        "data_source": "SR_dataset",
        "path": "./ScanNet/video/scene0012_01.mp4",
    }
    return row | changes


def first_sr(problem, solution, kind="object_rel_distance", number=1, **changes):
    """SpaceR's first release: the options stand in the text, answers may be words, paths are a machine's own."""
    row = {"problem_id": number, "problem": f"Question:\n{problem}", "data_type": "video", "question_type": kind}
    return row | {"solution": solution, "video": "/mnt/moonfs/x/ScanNet/video/scene0025_01.mp4"} | changes


def vlm3r(text, answer, options=(), number=1, **changes):
    """VLM-3R: a conversation, with the options and the benchmark's instruction in the text."""
    listed = "\nOptions:\n" + "\n".join(options) + f"\n{LETTER}" if options else f"\n{WORD}"
    row = {
        "id": number,
        "conversations": [
            {"from": "human", "value": f"<image>\nThese are frames of a video.\n{text}{listed}"},
            {"from": "gpt", "value": answer},
        ],
        "data_source": "scannetpp",
        "scene_name": "09c1414f1b",
        "video": "scannetpp/videos/09c1414f1b.mp4",
    }
    return row | changes


def video_r1(problem, solution, kind="multiple choice", number=1, **changes):
    """Video-R1-260k: general data, with a picture or a video of its own."""
    row = {"problem_id": number, "problem": problem, "data_type": "image", "problem_type": kind, "options": []}
    return row | {"solution": f"<answer>{solution}</answer>", "path": "./still.png", "data_source": "General"} | changes


def vsi590k(text, answer, kind, options=(), number=1, **changes):
    """VSI-590K: a conversation with the release's own question types, and units that vary."""
    listed = "\nOptions:\n" + "\n".join(options) + f"\n{LETTER}" if options else f"\n{WORD}"
    row = {
        "conversations": [
            {"from": "human", "value": f"<image>\nThese are frames of a video.\n{text}{listed}"},
            {"from": "gpt", "value": answer},
        ],
        "video": "scannet/scene0001_00.mp4",
        "question_type": kind,
    }
    return row | changes


def spatialevo(problem, answer, scene="scene0001_00", **changes):
    """SpatialEvo, in the shape that its trainer reads: its own names of scans, an answer in words or with a unit."""
    images = [f"/mnt/jfs/x/ScanNet/train/{scene}/frame_processed/{frame}.jpg" for frame in (840, 860)]
    return {"problem": problem, "answer": answer, "images": images} | changes
