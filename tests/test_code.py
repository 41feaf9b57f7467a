"""The code digest: what counts, what does not, and that the closure holds everything that a stage imports."""

import ast
import dataclasses
import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest

from rollout3d import code, doors, tables
from rollout3d.code import entries, source
from rollout3d.fingerprint import Recorder

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow" / "rollout3d"
NO_STAGES = ("__init__", "__main__", "common", "registry")
STAGES = sorted(p.stem for p in (PACKAGE / "stages").glob("*.py") if p.stem not in NO_STAGES)
GRPO = {"method": "grpo", "rollout": "object_centric", "reward": "ocr", "schedule": "linear", "backend": "hf"}


@pytest.fixture(scope="module")
def package():
    return code.Package(PACKAGE)


def copied(folder):
    """Return a copy of the packages and of the files that they read, which a test may edit."""
    ignore = shutil.ignore_patterns("__pycache__", "three")
    shutil.copytree(PACKAGE.parent, folder / "workflow", ignore=ignore)
    shutil.copytree(ROOT / "resources", folder / "resources")
    shutil.copytree(ROOT / "config" / "deepspeed", folder / "config" / "deepspeed")
    return folder


@pytest.fixture
def clone(tmp_path):
    return copied(tmp_path)


def read(clone, stage, chosen=None):
    return code.Package(clone / "workflow" / "rollout3d").closure(stage, chosen)


def place(path):
    return (PACKAGE.parent if path.split("/")[0] in source.BESIDE else PACKAGE) / path


def edit(clone, path, old, new):
    file = clone / "workflow" / "rollout3d" / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


LISTING = """
import importlib.util, json, os, re, sys
from pathlib import Path
# Libraries are imported once, by the parent; the package's own modules by each child.
package = importlib.util.find_spec("rollout3d").submodule_search_locations[0]
texts = [path.read_text() for path in sorted(Path(package).rglob("*.py"))]
names = {name for text in texts for name in re.findall(r"^(?:import|from) ([\\w.]+)", text, re.M)}
for name in sorted(names):
    if name.split(".")[0] not in ("rollout3d", "vllm"):
        try:
            importlib.import_module(name)
        except ImportError:
            pass
assert not any(name.startswith("rollout3d") for name in sys.modules)
# What all stages share as well: the test leaves it out of each stage's list.
importlib.import_module("rollout3d.stages.common")
for stage in sys.argv[2:]:
    pid = os.fork()
    if not pid:
        importlib.import_module(f"rollout3d.stages.{stage}")
        file = Path(sys.argv[1]) / "stages" / f"{stage}.py"
        for lazy in re.findall(r"^ +from (rollout3d\\S*) import (.+)$", file.read_text(), re.M):
            for name in lazy[1].split(", "):
                importlib.import_module(lazy[0])
                if not hasattr(sys.modules[lazy[0]], name):
                    importlib.import_module(f"{lazy[0]}.{name}")
        files = [m.__file__ for n, m in sys.modules.items() if n.startswith("rollout3d") and m.__file__]
        print(json.dumps([stage, files]), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_the_closure_holds_every_module_that_a_stage_imports(package):
    done = subprocess.run(
        [sys.executable, "-c", LISTING, str(PACKAGE), "common", *STAGES], capture_output=True, text=True, check=True
    )
    imported = dict(json.loads(line) for line in done.stdout.splitlines())
    assert sorted({*imported} - {"common"}) == STAGES, done.stderr
    # The module that all stages share imports only configuration, tables and bookkeeping.
    shared = {Path(file).relative_to(ROOT).as_posix() for file in imported.pop("common")}
    allowed = (
        *("__init__.py", "doors.py", "errors.py", "files.py", "progress.py", "provenance.py", "resources.py"),
        *("code", "config", "training/__init__.py", "training/lock.py", "stages/", "study/", "tables/"),
    )
    assert {name for name in shared if not name.removeprefix("workflow/rollout3d/").startswith(allowed)} == set()
    for stage, files in imported.items():
        names = {Path(file).relative_to(ROOT).as_posix() for file in files}
        assert len(names) > 3
        left_out = names - set(package.closure(stage).files)
        left_out -= {
            f"workflow/rollout3d/{name}"
            for name in ("fingerprint.py", "progress.py", "config/read.py", "tables/rows.py")
        }
        assert left_out <= shared, (stage, sorted(left_out - shared))


def test_imports_in_functions_and_by_name_count_and_those_for_the_type_checker_do_not(clone):
    (clone / "workflow/rollout3d/scoring/extra.py").write_text("X = 1\n")
    files = {
        "import": "def f():\n    import rollout3d.scoring.extra\n",
        "from": "def f():\n    from rollout3d.scoring import extra\n",
        "relative": "from ..scoring import extra\n",
        "sibling": "def f():\n    from ..scoring.extra import X\n",
        "name": "import importlib\ndef f(x):\n    importlib.import_module(f'rollout3d.scoring.ext{x}')\n",
    }
    for text in files.values():
        (clone / "workflow/rollout3d/cot/sft_table.py").write_text(text)
        assert "workflow/rollout3d/scoring/extra.py" in read(clone, "sft_table").files, text
        assert "workflow/rollout3d/scoring/__init__.py" in read(clone, "sft_table").files, text
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rollout3d.scoring import extra\n"
    (clone / "workflow/rollout3d/cot/sft_table.py").write_text(text)
    assert "workflow/rollout3d/scoring/extra.py" not in read(clone, "sft_table").files


SAME = {
    "comment": ("training/objective.py", "from __future__", "# a comment\nfrom __future__"),
    "docstring of a module": ("training/objective.py", '"""', '"""Other words. '),
    "docstring of an attribute": ("training/run.py", '"""Number of decoded videos', '"""Videos'),
    "log message": ("training/run.py", '"%d of %d training scenes have', '"%d of %d scenes have'),
    "help text": ("stages/train_grpo.py", "help=\"the run's row", 'help="a row'),
    "configuration model": ("config/training.py", "save_every: Positive = 100", "save_every: Positive = 50"),
    "command line": ("stages/common.py", "class Stage:", "OTHER = 1\n\n\nclass Stage:"),
    "progress": ("progress.py", "from __future__", "OTHER = 1\nfrom __future__"),
    "another stage": ("stages/train_sft.py", "def main", "def other(): ...\n\n\ndef main"),
    "schema's helpers": ("tables/schema.py", "_STRINGS = ", "_OTHER = 1\n_STRINGS = "),
}


@pytest.mark.parametrize("what", SAME)
def test_edits_that_cannot_change_a_result_change_no_digest(clone, what):
    before = read(clone, "train_grpo")
    edit(clone, *SAME[what])
    assert read(clone, "train_grpo") == before


def test_another_layout_of_all_files_changes_no_digest(clone):
    before = {stage: read(clone, stage) for stage in ("train_grpo", "ingest", "report")}
    for path in (clone / "workflow").rglob("*.py"):
        path.write_text(ast.unparse(ast.parse(path.read_text())))
    assert {stage: read(clone, stage) for stage in before} == before


CHANGED = {
    "constant": ("training/run.py", "VIDEOS_KEPT = 64", "VIDEOS_KEPT = 65"),
    "int to float": ("training/run.py", "VIDEOS_KEPT = 64", "VIDEOS_KEPT = 64.0"),
    "operator": ("training/run.py", "if value % world.size", "if value // world.size"),
    "comparison": ("training/engines/choose.py", "grpo.beta > 0", "grpo.beta >= 0"),
    "default": ("training/schedule.py", "start: float = 0.5", "start: float = 0.6"),
    "call in a log message": ("training/run.py", "log.info(", "log.info(change()); log.info("),
    "lazily imported": (
        "geometry/masks.py",
        "from __future__",
        "from __future__ import annotations\nX = 1\nfrom __future__",
    ),
    "chosen schedule": ("training/schedule.py", '"linear": lambda s: 1 - s', '"linear": lambda s: 1 - s * s'),
    "chosen rollout": ("training/rollouts/object_centric.py", "def views", "X = 1\n\n\ndef views"),
    "table's class": (
        "tables/fields.py",
        "optional: tuple[str, ...] = ()\n\n    @property",
        "per_scene: bool = True\n\n    @property",
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_real_edits_change_the_digest_and_name_their_file(clone, what):
    path, *change = CHANGED[what]
    before = read(clone, "train_grpo", GRPO)
    edit(clone, path, *change)
    after = read(clone, "train_grpo", GRPO)
    assert after.digest != before.digest
    assert code.compare(before.short, after.parts) == [f"changed workflow/rollout3d/{path}"]


@pytest.mark.parametrize(
    ("stage", "chosen", "file", "counts"),
    [
        ("train_grpo", {"think": "plain"}, "resources/prompts/think_plain.txt", True),
        ("train_grpo", {"think": "video_r1"}, "resources/prompts/think_plain.txt", False),
        ("train_grpo", {"think": "plain"}, "resources/prompts/judge.txt", False),
        ("train_grpo", {"deepspeed": "zero2"}, "config/deepspeed/zero2.json", True),
        ("train_grpo", {"deepspeed": "none"}, "config/deepspeed/zero2.json", False),
        ("annotate", {}, "resources/prompts/cot_teacher.txt", True),
        ("judge", {}, "resources/prompts/judge.txt", True),
        ("ingest", {"dataset": "scannet"}, "resources/categories/scannet.csv", True),
        ("ingest", {"dataset": "scannet"}, "resources/categories/not_perturbable.csv", True),
        ("ingest", {"dataset": "scannet"}, "resources/categories/arkitscenes.csv", False),
        ("paper_table", {}, "resources/reference/ocr.csv", True),
        ("report", {}, "workflow/rollout3d/report/templates/page.html.j2", True),
    ],
)
def test_resources_count_where_they_are_read(clone, stage, chosen, file, counts):
    before = read(clone, stage, chosen)
    assert (file in before.files) == counts
    (clone / file).write_text((clone / file).read_text() + "\n")
    assert (read(clone, stage, chosen).digest != before.digest) == counts


def opened(*calls):
    """Return the files of resources/ and config/deepspeed/ that functions open."""
    with Recorder({"resources": ROOT / "resources", "config/deepspeed": ROOT / "config" / "deepspeed"}) as record:
        for call in calls:
            call()
    return {f"{row['root']}/{row['path']}" for row in record.rows() if row["kind"] == "file"}


@pytest.mark.parametrize(("dataset", "helper"), [("scannetpp", "_scannetpp_labels"), ("arkitscenes", "_arkit_labels")])
def test_the_category_files_that_a_dataset_opens_are_those_that_count(package, dataset, helper):
    labels = import_module(f"rollout3d.scenes.datasets.{helper}")
    found = opened(lambda: labels.meanings.__wrapped__(*([None] if dataset == "scannetpp" else [])))
    counted = package.closure("ingest", {"dataset": dataset}).files
    assert found == {file for file in counted if file.startswith("resources/")}


@pytest.mark.parametrize("think", ["video_r1", "plain"])
def test_the_prompts_that_a_model_is_given_are_those_that_count(package, think):
    from rollout3d.model import prompts

    found = opened(*(lambda name=name: prompts.wording.__wrapped__(name) for name in ("direct", f"think_{think}")))
    counted = package.closure("evaluate", {"think": think}).files
    assert found == {file for file in counted if file.startswith("resources/")}


def test_every_resource_of_the_clone_counts_for_some_stage(package):
    files = {file for stage in STAGES for file in package.closure(stage).files}
    there = [p for folder in ("resources", "config/deepspeed") for p in (ROOT / folder).rglob("*") if p.is_file()]
    assert len(there) > 10
    beside = {"resources/reference/README.md", "resources/reference/settings.csv"}  # for people, and for a test
    assert {p.relative_to(ROOT).as_posix() for p in there} - beside <= files


PRUNED = [
    ("train_grpo", GRPO, "training/rollouts/object_centric.py", "training/rollouts/downsample.py"),
    ("train_grpo", GRPO | {"rollout": "vanilla"}, "training/rollouts/vanilla.py", "training/rollouts/noisy.py"),
    ("train_grpo", GRPO | {"reward": "ocr_length"}, "training/rewards/ocr_length.py", "training/rewards/_temporal.py"),
    ("train_grpo", GRPO | {"reward": "spacer"}, "scoring/scorers/spacer.py", "training/rewards/ocr.py"),
    ("train_grpo", GRPO, "training/maps.py", "scoring/maps.py"),
    ("train_grpo", GRPO | {"backend": "hf"}, "model/generate_hf.py", "model/generate_vllm.py"),
    ("train_grpo", GRPO | {"deepspeed": "none"}, "training/engines/choose.py", "training/engines/zero.py"),
    ("train_grpo", GRPO, "training/grpo.py", "training/sft.py"),
    ("train_sft", {"method": "sft", "rollout": (), "reward": ()}, "training/sft.py", "training/grpo.py"),
    ("evaluate", {"backend": "vllm"}, "model/generate_vllm.py", "training/engines/engine.py"),
    ("ingest", {"dataset": "scannet"}, "scenes/datasets/scannet.py", "scenes/datasets/scannetpp.py"),
    ("ingest", {"dataset": {"scannet", "scannetpp"}}, "scenes/datasets/scannetpp.py", "scenes/datasets/arkitscenes.py"),
    (
        "prepare_benchmark",
        {"benchmark": "synthetic"},
        "evaluation/benchmarks/synthetic.py",
        "evaluation/benchmarks/vsibench.py",
    ),
    ("evaluate", {"scorer": "tagged"}, "scoring/scorers/tagged.py", "scoring/scorers/lmms.py"),
    ("paper_table", {"table": "table2"}, "report/paper/table2.py", "report/paper/figure3.py"),
    ("annotate", {"teacher": "geometric"}, "cot/teachers/geometric.py", "cot/teachers/openai.py"),
    ("annotate", {"teacher": "openai"}, "cot/teachers/openai.py", "cot/geometric.py"),
]


@pytest.mark.parametrize(("stage", "chosen", "inside", "outside"), PRUNED)
def test_entries_count_only_where_they_are_chosen(package, stage, chosen, inside, outside):
    files = package.closure(stage, chosen).files
    assert f"workflow/rollout3d/{inside}" in files
    assert f"workflow/rollout3d/{outside}" not in files
    assert set(files) <= set(package.closure(stage).files)


def test_a_new_entry_of_a_registry_changes_nothing_for_runs_that_do_not_choose_it(clone):
    before, everything = read(clone, "train_grpo", GRPO), read(clone, "train_grpo")
    (clone / "workflow/rollout3d/training/rollouts/other.py").write_text("def views(row, frames, context): ...\n")
    edit(clone, "training/schedule.py", '"fix":', '"step": lambda s: 0.0,\n    "fix":')
    assert read(clone, "train_grpo", GRPO) == before
    assert len(code.compare(everything.parts, read(clone, "train_grpo").parts)) == 2
    assert "workflow/rollout3d/training/rollouts/other.py" in read(clone, "train_grpo", {"rollout": "other"}).files


def test_a_new_scorer_changes_nothing_for_stages_that_do_not_score_by_it(clone):
    before = read(clone, "evaluate", {"scorer": "tagged"})
    (clone / "workflow/rollout3d/scoring/scorers/other.py").write_text("def score(text, row, numeric): ...\n")
    assert read(clone, "evaluate", {"scorer": "tagged"}) == before
    for of in ({"scorer": "other"}, {}):
        assert "workflow/rollout3d/scoring/scorers/other.py" in read(clone, "evaluate", of).files


def test_the_tables_of_entries_fit_the_code():
    for path, variable in entries.REGISTRIES:
        assert re.search(rf"^{variable}\b.*= \{{", place(path).read_text(), re.M), (path, variable)
    for importing, imported in entries.CONDITIONS:
        names = source.read((PACKAGE / importing).read_text(), importing, PACKAGE / importing, {}).imports
        assert "rollout3d." + imported.removesuffix(".py").replace("/", ".") in names, (importing, imported)
    for path in (*entries.FOLDERS, *entries.BY_NAME, *entries.SCHEMA, *entries.EXCLUDED):
        assert place(path).exists(), path
    for name in doors.DATASETS.names:
        assert f'\nNAME = "{name}"\n' in (PACKAGE / f"scenes/datasets/{name}.py").read_text(), name


def test_no_registry_is_forgotten():
    """A dictionary at module level whose values are functions of other modules is a registry, or always wholly used."""
    whole = {
        *(("stages/bias.py", "READABLE"), ("stages/registry.py", "STAGES"), ("code/entries.py", "MODULES")),
        *(("model/directory.py", "RELEASED"), ("scenes/formats/headers.py", "CHECKS")),
        ("scenes/datasets/_scannetpp_video.py", "DSLR"),
        ("report/claims.py", "COLORS"),
    }
    found = set()
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        modules = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rollout3d")
            for alias in node.names
        }
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict | ast.DictComp):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                listed = node.value.values if isinstance(node.value, ast.Dict) else [node.value.generators[0].iter]
                names = {n.id for value in listed for n in ast.walk(value) if isinstance(n, ast.Name)}
                if names & modules - {"doors"} and target.id.isupper():
                    found.add((file.relative_to(PACKAGE).as_posix(), target.id))
    assert whole <= found
    assert found - whole <= set(entries.REGISTRIES), sorted(found - whole - set(entries.REGISTRIES))


def test_only_the_tables_that_the_code_names_count(package, monkeypatch):
    assert package.closure("sft_table").tables == ("ANNOTATIONS", "OCR_RL", "OCR_SFT")
    assert package.closure("ingest").tables == ("FRAMES", "MAPS", "OBJECTS", "SCENES", "SCENES_DROPPED", "VISIBILITY")
    before = {stage: package.closure(stage).digest for stage in STAGES}
    wider = tables.SCORES.schema.append(pa.field("more", pa.int64(), nullable=True))
    monkeypatch.setattr(tables, "SCORES", dataclasses.replace(tables.SCORES, schema=wider))
    code._declarations.cache_clear()
    try:
        changed = {stage for stage in STAGES if package.closure(stage).digest != before[stage]}
        assert {"score", "paper_table", "report"} <= changed
        assert not changed & {"ingest", "questions", "train_grpo", "train_sft", "evaluate", "difficulty", "annotate"}
        worded = tables.HARD.schema.set(0, tables.HARD.schema.field(0).with_metadata({"meaning": "other words"}))
        monkeypatch.setattr(tables, "HARD", dataclasses.replace(tables.HARD, schema=worded, row="other words"))
        code._declarations.cache_clear()
        assert package.closure("select_hard").digest == before["select_hard"]
    finally:
        monkeypatch.undo()
        code._declarations.cache_clear()


def test_an_unknown_stage_or_registry_is_refused(package):
    with pytest.raises(ValueError, match=r"unknown registry rolout: known are .*rollout"):
        package.closure("train_grpo", {"rolout": "noisy"})
    with pytest.raises(ValueError, match=r"no module rollout3d\.stages\.other"):
        package.closure("other")


def test_compare_names_what_changed():
    recorded, now = {"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}
    assert code.compare(recorded, now) == ["removed a", "changed c", "added d"]
    assert code.compare({"a": "0" * 12}, {"a": "0" * 64}) == []
