"""Frame sets and what depends on them: a set that is added changes nothing for who does not read it."""

import dataclasses

import pytest

from rollout3d import tables
from rollout3d.study import Job, States, Study
from rollout3d.study.graph import SETS
from rollout3d.tables import Lineage


def frame(index, sets, grey=b"x"):
    return {
        "scene_id": "s",
        "frame_index": index,
        "timestamp_s": index / 10,
        "sets": sets,
        "image": {"bytes": grey, "path": f"s_{index}.jpg"},
        **dict.fromkeys(("width", "height", "source_width", "source_height"), 28),
        "K": None,
        "pose": None,
    }


@pytest.fixture
def digests(tmp_path):
    def of(rows, *parts):
        path = tmp_path / "frames.parquet"
        tables.write(tables.FRAMES, path, rows, Lineage("ingest"))
        return [tables.content_digest(path, [name]) for name in parts]

    return of


def test_a_part_has_its_own_digest_whatever_stands_beside_it(digests):
    two = [frame(0, ["a", "b"]), frame(5, ["a"]), frame(9, ["b"])]
    a, b = digests(two, "a", "b")
    assert a != b
    assert digests([frame(0, ["a"]), frame(5, ["a"])], "a") == [a]
    more = [frame(0, ["a", "b", "c"]), frame(3, ["c"]), frame(5, ["a"]), frame(9, ["b", "c"])]
    assert digests(more, "a", "b") == [a, b]
    assert digests([frame(0, ["a", "b"], b"y"), *two[1:]], "a", "b") != [a, b]
    assert digests([frame(0, ["a", "b"]), frame(5, ["a"], b"y"), frame(9, ["b"])], "b") == [b]


def test_a_part_that_is_not_there_differs_from_an_empty_table_of_another_one(digests):
    (lost,) = digests([frame(0, ["a"])], "b")
    assert [lost] == digests([], "b") and lost != digests([frame(0, ["b"])], "b")[0]


INGEST = Job(
    "ingest",
    stage="ingest",
    outputs=("scenes.parquet", "frames.parquet"),
    parents={},
    values={"seed": 0, SETS: ["uniform16", "uniform32"]},
    sets=("uniform16", "uniform32"),
    parted=("frames.parquet",),
)
REGIONS = Job(
    "regions",
    stage="regions",
    outputs=("regions.parquet", "raw.parquet"),
    parents={"scenes": ("scenes.parquet",), "frames": ("frames.parquet",)},
    values={SETS: ["uniform16"]},
    sets=("uniform16",),
    parted=("regions.parquet",),
)


def reader(name, set_name, **parents):
    given = {"frames": ("frames.parquet",)} | parents
    reads = dict.fromkeys(("frames", "regions"), (set_name,))
    return Job(name, stage="train_sft", outputs=(f"{name}.parquet",), parents=given, values={}, reads=reads)


def study(sets=("uniform16", "uniform32"), of_regions=("uniform16",)):
    def storing(job, names):
        return dataclasses.replace(job, sets=tuple(names), values=job.values | {SETS: list(names)})

    jobs = [
        storing(INGEST, sets),
        storing(REGIONS, of_regions),
        reader("train", "uniform16", regions=("regions.parquet",)),
        reader("evaluate", "uniform32"),
        dataclasses.replace(reader("questions", "none"), parents={"scenes": ("scenes.parquet",)}, reads={}),
        # The second output of regions, whose rows belong to no set.
        dataclasses.replace(reader("list", "none"), parents={"raw": ("raw.parquet",)}, reads={}),
        dataclasses.replace(reader("page", "none"), reads={}),
    ]
    by_path = {path: job for job in jobs for path in job.outputs}
    return Study(by_path.get)


READERS = ("train.parquet", "evaluate.parquet", "questions.parquet", "list.parquet")


def test_another_set_changes_the_identity_of_who_stores_it_and_of_who_reads_all():
    before, after = study(), study(("fps2max16", "uniform16", "uniform32"), ("fps2max16", "uniform16"))
    for path in READERS:
        assert before.wanted(path) == after.wanted(path), path
    for path in ("scenes.parquet", "regions.parquet", "page.parquet"):
        assert before.wanted(path) != after.wanted(path), path
    other = study()
    other.job("frames.parquet").values["seed"] = 1
    try:
        assert all(other.wanted(path) != before.wanted(path) for path in READERS)
    finally:
        other.job("frames.parquet").values["seed"] = 0


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Writes what the jobs of a study would, with the lineage that their stages would record."""
    monkeypatch.chdir(tmp_path)

    def write(of, rows):
        for path in ("frames.parquet", "scenes.parquet", "regions.parquet", "raw.parquet", *READERS):
            job = of.job(path)
            parents = tuple(
                (kind, tables.digest([tables.content_digest(p, of.sets_read(job, kind, p) or None) for p in paths]))
                for kind, paths in sorted(job.parents.items())
            )
            lineage = Lineage(job.stage, dict(job.values), parents=parents)
            if path == "frames.parquet":
                tables.write(tables.FRAMES, path, rows, lineage)
            elif path == "regions.parquet":
                tables.write(tables.REGIONS, path, map(region, rows), lineage)
            else:
                tables.write(tables.HARD, path, [{"question_id": path, "transition": "frames"}], lineage)

    return write


def region(row):
    return {
        **{name: row[name] for name in ("scene_id", "frame_index", "sets")},
        **{"object_id": 1, "n_visible": 4, "box": [0, 0, 1, 1], "mask": b"\x00" * 4},
    }


ROWS = [frame(0, ["uniform16", "uniform32"]), frame(3, ["uniform32"]), frame(9, ["uniform16", "uniform32"])]
MORE = [*ROWS[:2], frame(5, ["fps2max16"]), ROWS[2] | {"sets": ["fps2max16", "uniform16", "uniform32"]}]


def test_readers_stay_current_while_a_set_is_missing_and_once_it_is_there(made):
    made(study(), ROWS)
    more = study(("fps2max16", "uniform16", "uniform32"))
    found = States(more)
    assert found("frames.parquet").status == "stale" and SETS in found("frames.parquet").reasons[0]
    assert {path: found(path).status for path in READERS} == dict.fromkeys(READERS, "current")

    # Ingest has run again, and nothing else.
    job = more.job("frames.parquet")
    lineage = Lineage(job.stage, dict(job.values))
    tables.write(tables.FRAMES, "frames.parquet", MORE, lineage)
    tables.write(tables.HARD, "scenes.parquet", tables.read(tables.HARD, "scenes.parquet"), lineage)
    found = States(more)
    for path in ("frames.parquet", *READERS):
        recorded = Lineage.from_dict(tables.lineage(path)).identity
        assert (found(path).status, found(path).identity) == ("current", recorded), (path, found(path).reasons)


def test_more_sets_than_are_wanted_are_no_fault(made):
    made(study(("fps2max16", "uniform16", "uniform32")), MORE)
    found = States(study())
    assert {path: found(path).status for path in ("frames.parquet", *READERS)} == dict.fromkeys(
        ("frames.parquet", *READERS), "current"
    )


def test_another_picture_of_a_set_makes_its_readers_stale_and_no_others(made):
    made(study(), ROWS)
    job = study().job("frames.parquet")
    changed = [ROWS[0], frame(3, ["uniform32"], b"y"), ROWS[2]]
    tables.write(tables.FRAMES, "frames.parquet", changed, Lineage(job.stage, dict(job.values)))
    found = States(study())
    assert found("train.parquet").status == "current" and found("evaluate.parquet").status == "stale"
