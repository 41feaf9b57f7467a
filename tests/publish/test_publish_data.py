"""A published dataset: what it holds, what is left out, its card, and that the libraries of the Hub read it."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from publish.published_study import ROOMS, build, of_room, picture
from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.publish import parquet, study
from rollout3d.publish.clean import Private
from rollout3d.publish.data import Wanted, publish_data
from rollout3d.stages import publish

datasets = pytest.importorskip("datasets", reason="an extra of tests: pip install 'rollout3d[dev]'")


def published(given, target="out", limits=(parquet.GROUP, parquet.SHARD), **wanted):
    """Publish a study; return the folder."""
    folder = given.root / target
    values = study.studied(given.results, {})
    publish_data(given.results, folder, values, Wanted(**wanted), Private([given.results]), limits)
    return folder


def front(folder):
    """The front matter of a card, and its text."""
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def load(folder, name, split):
    return datasets.load_dataset(str(folder), name, split=split, cache_dir=str(folder.parent / "cache"))


def test_every_configuration_and_split_loads_with_its_rows(study):
    folder = published(study, frames=True, evidence=True)
    head, _ = front(folder)
    named = [(entry["config_name"], each["split"]) for entry in head["configs"] for each in entry["data_files"]]
    wanted = ["questions train", "questions test", "reasoning train", "frames train", "frames test"]
    assert named == [tuple(each.split()) for each in wanted]
    found = {key: load(folder, *key) for key in named}
    rows = found["questions", "train"]
    assert rows["question_id"] == [row["question_id"] for row in study.train] and len(rows) == 8
    assert rows[0]["media"] is None and [image.size for image in rows[6]["media"]] == [(56, 28), (56, 28)]
    assert found["questions", "test"]["scene_id"] == [ROOMS[2]] * 2
    assert found["reasoning", "train"]["think"] == ["I look."] * 2
    frames = found["frames", "train"]
    assert isinstance(frames.features["image"], datasets.Image) and frames[1]["image"].size == (56, 28)
    assert set(frames["scene_id"]) == set(ROOMS[:2]) and set(found["frames", "test"]["scene_id"]) == {ROOMS[2]}


def test_the_front_matter_is_what_the_libraries_derive_from_the_files(study):
    from huggingface_hub import DatasetCard

    folder = published(study, frames=True, evidence=True)
    head, _ = front(folder)
    card = DatasetCard.load(folder / "README.md")
    assert card.data.to_dict() == head and card.data.size_categories == ["n<1K"]
    assert card.data.license == "other" and card.data.license_link == "LICENSE.md" and (folder / "LICENSE.md").is_file()
    for entry in head["dataset_info"]:
        folders = {"questions": "data"}.get(entry["config_name"], entry["config_name"])
        first = next(iter(sorted((folder / folders).glob("*.parquet"))))
        own = datasets.Features.from_arrow_schema(pq.read_schema(first))
        assert datasets.Features._from_yaml_list(entry["features"]) == own
        assert own._to_yaml_list() == entry["features"]
        counts = {each["name"]: each["num_examples"] for each in entry["splits"]}
        for split, n in counts.items():
            assert sum(pq.read_metadata(path).num_rows for path in (folder / folders).glob(f"{split}-*")) == n
        assert entry["download_size"] == sum(path.stat().st_size for path in (folder / folders).iterdir())


def test_pictures_and_geometry_of_scans_are_left_out_unless_asked_for(study):
    folder = published(study)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["data", "reasoning"]
    names = pq.read_schema(next((folder / "data").glob("train-*"))).names
    assert "media" not in names and "evidence" not in names and "scene_id" in names
    rows = load(folder, "questions", "train")
    assert rows["media_paths"][0] is None and rows["media_paths"][6] == ["video/00001.000.jpg", "image/0.png"]
    held = b"".join(path.read_bytes() for path in folder.rglob("*.*"))
    assert not any(picture(i)[300:] in held for i in range(5))
    _, body = front(folder)
    assert "**Pictures are left out.**" in body and "**The geometry behind the answers is left out**" in body
    assert "ScanNet Terms of Use: non-commercial, no redistribution" in body
    assert "2 questions come from `Video-R1-260k.json`: Video-R1's release" in body


def test_rendered_rooms_are_free_and_are_not_called_scans(rendered):
    folder = published(rendered)
    head, body = front(folder)
    assert head["license"] == "apache-2.0" and "synthetic" in head["tags"] and not (folder / "LICENSE.md").exists()
    assert "**No scan of a release is in here.**" in body and "evidence" in load(folder, "questions", "train").features
    assert "Terms of Use" not in body


def test_the_card_has_counts_guesses_and_what_models_answer_without_a_video(study):
    _, body = front(published(study))
    assert (
        "| `questions` | the questions of the study: `train` to train on, `test` about other rooms | `train` | 1 | 8 |"
        in body
    )
    assert "| object_counting | 6 | 100.0% |" in body and "- 1 ambiguous" in body
    # Three rooms' worth of answers 2, 3 and 4, each a third of six.
    assert "| object_counting | 2 (33 %), 3 (33 %), 4 (33 %) | 6 |" in body
    assert "| ocr | 61.2 | 50.5 | +10.8 (-1.5 to +23.0) |" in body and "| random guess | 20.0 |  |  |" in body
    assert "`questions.total` | 7 | 98103 |" in body  # by the training table, whatever the study's file says
    assert "arXiv:2511.13190" in body and "@article{tang2025video" in body


def test_files_and_row_groups_stay_below_their_limits(study):
    folder = published(study, frames=True, limits=(700, 1600))
    files = sorted((folder / "data").glob("train-*"))
    assert len(files) > 1
    assert [path.name for path in files] == [f"train-{i:05d}-of-{len(files):05d}.parquet" for i in range(len(files))]
    for path in files:
        about = pq.ParquetFile(path)
        sizes = [about.read_row_group(i).nbytes for i in range(about.num_row_groups)]
        assert all(size <= 700 or about.metadata.row_group(i).num_rows == 1 for i, size in enumerate(sizes))
        assert sum(sizes) <= 1600 or len(sizes) == 1
        assert all(about.metadata.row_group(i).column(0).has_offset_index for i in range(len(sizes)))
        assert not any(pa.types.is_map(field.type) for field in about.schema_arrow)
    assert load(folder, "questions", "train")["question_id"] == [row["question_id"] for row in study.train]


def test_the_same_results_give_the_same_bytes(study):
    one, two = published(study, "one"), published(study, "two")
    names = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert names and all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_nothing_of_the_tables_own_metadata_is_published(study):
    folder = published(study)
    for path in folder.rglob("*.parquet"):
        assert b"/home/someone" not in path.read_bytes()
        assert set(pq.read_schema(path).metadata) == {b"huggingface"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see {results}/scenes", "a path of this machine"),
        ("asked by req_0123456789abcdef0123", "the id of an API request"),
        ("hf_abcdefghijklmnopqrstuvwx", "a token of the Hub"),
        ("the key is s3cret-of-the-study", "the value of the variable OPENAI_API_KEY"),
    ],
)
def test_a_row_with_anything_private_stops_the_publication(tmp_path, monkeypatch, text, what):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-of-the-study")
    row = of_room(ROOMS[0], 0, "train", question=text.format(results=tmp_path / "results"))
    given = build(tmp_path, train=[of_room(ROOMS[0], 1, "train"), row])
    with pytest.raises(InvalidInput, match=f"data/train, column question: holds {what}") as raised:
        published(given)
    assert "s3cret" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_a_private_path_in_a_nested_column_is_found(tmp_path):
    row = of_room(ROOMS[0], 0, "train", objects=[{"category": f"{tmp_path}/results", "object_ids": [1]}])
    with pytest.raises(InvalidInput, match="column objects"):
        published(build(tmp_path, train=[row]))


def test_missing_frames_and_missing_questions_are_errors_with_a_remedy(study):
    (study.results / "scenes/scannet/0/frames.parquet").unlink()
    with pytest.raises(InvalidInput, match="no frames of 2 scans, such as scene0001_00: run ingest, or leave out"):
        published(study, frames=True)
    (study.results / "train/ocr_rl.parquet").unlink()
    with pytest.raises(InvalidInput, match="no training questions: run `snakemake"):
        published(study)


def test_a_split_without_rows_is_left_out_and_named(study):
    tables.write(tables.QUESTIONS, study.results / "questions/test.parquet", [], tables.Lineage("test"))
    folder = published(study)
    assert not list((folder / "data").glob("test-*")) and "There is no split `test`" in front(folder)[1]
    assert len(load(folder, "questions", "train")) == 8


def test_audits_of_published_answers_are_stated(study):
    row = {"id": 1, "question_type": "object_counting", "ground_truth": "2", "recomputed": "2", "note": ""}
    rows = [row | {"agrees": True}, row | {"agrees": False}, row | {"agrees": None}]
    tables.write(tables.AUDIT, study.root / "vsibench.parquet", rows, tables.Lineage("audit"))
    body = front(published(study, audits=(study.root / "vsibench.parquet",)))[1]
    assert "| vsibench | object_counting |  | 2 | 50.0 |" in body


def test_the_command_writes_the_folder_and_uploads_nothing(study, capsys):
    publish.main(["data", str(study.root / "out"), "--results", str(study.results), "--with-frames"])
    said = capsys.readouterr().out
    assert "questions, train: 8 rows in 1 files" in said and "nothing was uploaded" in said
    assert "holds pictures of scannet, whose terms forbid to pass them on" in said
    assert json.loads((study.root / "out" / ".rollout3d.json").read_text())["kind"] == "data"


@pytest.mark.parametrize("options", [["--run", "ocr"], ["--license", "mit"], ["--public"]])
def test_options_that_do_not_go_with_data_are_errors(study, options, capsys):
    with pytest.raises(SystemExit):
        publish.main(["data", str(study.root / "out"), "--results", str(study.results), *options])
    assert options[0] in capsys.readouterr().err and not (study.root / "out").exists()
