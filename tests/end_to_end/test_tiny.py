"""The tiny preset from scans to report: every table opens everywhere, can be rebuilt, and one stage runs alone."""

import hashlib
import io
import re

import pyarrow.parquet as pq
import pytest

from rollout3d import tables

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(900)]


def bytes_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_is_there_and_a_second_run_does_nothing(tiny):
    assert (tiny.results / "report" / "index.html").stat().st_size > 10_000
    assert "Nothing to be done" in tiny.snakemake("--", "all")


def test_train_and_test_spaces_never_mix(tiny):
    train = {(r["dataset"], r["space_id"]) for r in tables.read(tables.OCR_RL, tiny.results / "train/ocr_rl.parquet")}
    test = {
        (r["dataset"], r["space_id"]) for r in tables.read(tables.QUESTIONS, tiny.results / "questions/test.parquet")
    }
    assert train and test and not train & test


def test_every_table_says_what_it_is_and_where_it_came_from(tiny):
    for path in tiny.parquet:
        about = tables.lineage(path)
        assert about["table"] in tables.TABLES, path
        assert about["stage"] and about["code"], path
        assert str(tiny.folder) not in str(about), f"{path}: its lineage holds a path"


def test_every_kind_of_table_opens_in_duckdb(tiny):
    import duckdb

    for path in tiny.parquet:
        ((count,),) = duckdb.sql(f"select count(*) from '{path}'").fetchall()
        assert count == pq.ParquetFile(path).metadata.num_rows
        duckdb.sql(f"select * from '{path}' limit 3").fetchall()


def test_every_kind_of_table_opens_in_datasets_with_its_images(tiny, tmp_path):
    import datasets
    from PIL.Image import Image

    seen, pictures = set(), 0
    for path in tiny.parquet:
        kind = tables.lineage(path)["table"]
        if kind in seen or not pq.ParquetFile(path).metadata.num_rows:
            continue
        seen.add(kind)
        loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path))
        row = loaded[0]
        for column, feature in tables.TABLES[kind].images.items():
            value = row[column] if feature["_type"] == "Image" else (row[column] or [None])[0]
            pictures += isinstance(value, Image)
            assert value is None or isinstance(value, Image), f"{path}: {column} is {type(value)}"
    assert pictures >= 2
    expected = {
        "scenes",
        "objects",
        "frames",
        "regions",
        "maps",
        "questions",
        "ocr_rl",
        "hard",
        "annotations",
        "ocr_sft",
    }
    assert seen >= expected | {"predictions", "metrics", "rollouts", "scores", "report"}


# One file of every stage; metrics record time and are left out.
COSTLY = [
    "difficulty/frames16_bev/0.parquet",
    "difficulty/frames16_grpo/0.parquet",
    "cot/annotations.parquet",
    "runs/ocr/rollouts.parquet",
    "eval/ocr/synthetic/predictions/0.parquet",
]
RECOMPUTED = [
    "scans/scannetpp.parquet",
    "scenes/scannet/0/frames.parquet",
    "scenes/scannetpp/0/objects.parquet",
    "scenes/arkitscenes/0/maps.parquet",
    "scenes/arkitscenes/0/regions.aabb_none.parquet",
    "questions/scannet/0.parquet",
    "train/ocr_rl.parquet",
    "questions/test.parquet",
    "benchmarks/synthetic/frames.parquet",
    "difficulty/hard.parquet",
    "train/ocr_sft.parquet",
    "eval/ocr/synthetic/predictions.parquet",
    "eval/ocr/synthetic/scores.parquet",
    "report/table1.parquet",
]


@pytest.mark.long
@pytest.mark.parametrize("name", COSTLY)
def test_a_deleted_costly_table_is_computed_again_byte_for_byte(tiny, name):
    path = tiny.results / name
    before = bytes_of(path)
    path.unlink()
    tiny.forget_store()
    tiny.snakemake("--", f"results/tiny/{name}")
    assert bytes_of(path) == before and f"results/tiny/{name}" not in tiny.restored()


@pytest.mark.long
def test_deleted_tables_of_all_other_stages_are_computed_again_byte_for_byte(study):
    paths = {name: study.results / name for name in RECOMPUTED}
    before = {name: bytes_of(path) for name, path in paths.items()}
    for path in paths.values():
        path.unlink()
    study.snakemake("--", *(f"results/tiny/{name}" for name in RECOMPUTED))
    assert {name: bytes_of(path) for name, path in paths.items()} == before


@pytest.mark.long
@pytest.mark.parametrize("run", ["sft", "ocr"])
def test_training_again_from_scratch_gives_the_same_weights(tiny, run):
    import shutil

    folder = tiny.results / "runs" / run
    before = {p.name: bytes_of(p) for p in (folder / "weights").iterdir()}
    shutil.rmtree(folder)
    tiny.forget_store()
    tiny.snakemake("--", f"results/tiny/runs/{run}/model.json")
    assert {p.name: bytes_of(p) for p in (folder / "weights").iterdir()} == before


def test_one_stage_runs_alone_through_its_target(tiny):
    target = "results/tiny/eval/ocr/synthetic/predictions/0.parquet"
    before = {path: path.stat().st_mtime_ns for path in tiny.parquet}
    said = tiny.snakemake("--force", "--", target)
    assert re.search(r"^total\s+1$", said, re.M), said
    changed = [p for p in before if p.stat().st_mtime_ns != before[p]]
    assert [str(p.relative_to(tiny.folder)) for p in changed] == [target]


def test_images_are_upright_jpegs_of_the_size_that_the_table_says(tiny):
    import PIL.Image

    for dataset in ("scannet", "scannetpp", "arkitscenes"):
        for row in tables.read(tables.FRAMES, tiny.results / f"scenes/{dataset}/0/frames.parquet"):
            picture = PIL.Image.open(io.BytesIO(row["image"]["bytes"]))
            assert picture.format == "JPEG" and picture.size == (row["width"], row["height"])
            assert row["width"] % 28 == row["height"] % 28 == 0


def test_the_report_renders_in_a_real_browser(tiny, tmp_path):
    import shutil
    import subprocess

    import PIL.Image

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("chromium is not installed: apt-get install chromium")
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    picture, page = tmp_path / "page.png", tiny.results / "report" / "index.html"
    options = ("--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={tmp_path / 'user'}")
    shot = (f"--screenshot={picture}", "--window-size=1280,9000", page.as_uri())
    subprocess.run([browser, *options, *shot], check=True, capture_output=True, timeout=120)
    # A page that failed to render is one colour; pictures of rooms bring thousands.
    assert len(PIL.Image.open(picture).convert("RGB").getcolors(1 << 24)) > 1000
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "") and 'src="https://' not in text, "not self-contained"
