"""What a user types into files and on the command line is understood, or refused with file, line, key and remedy."""

import json
import time
from pathlib import Path

import pytest

from rollout3d import config
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]
PRESETS = sorted(path.stem for path in (ROOT / "config" / "presets").glob("*.yaml"))
LOCAL = "config/local.yaml"


def test_configuration_is_read_in_far_less_than_fifty_milliseconds(study):
    study("seed: 1\n")
    best = min(_seconds(study) for _ in range(5))
    assert best < 0.05


def _seconds(study):
    started = time.perf_counter()
    study()
    return time.perf_counter() - started


# --- one dataset, and other entries that are removed


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_one_dataset_is_enough_for_the_paper_and_every_preset(study, preset):
    lines = [f"preset: {preset}"] if preset else []
    loaded = study("\n".join([*lines, "datasets:", "  scannetpp: null", "  arkitscenes: ~"]) + "\n")
    assert list(loaded.datasets) == ["scannet"] and loaded.preset == preset
    assert loaded.datasets["scannet"] == study("\n".join(lines)).datasets["scannet"]


def test_no_dataset_is_none_too_few(study):
    said = study.refused("datasets: {scannet: null, scannetpp: null, arkitscenes: null}\n")
    assert said == f"{LOCAL}:1: datasets is empty: at least one must be there"


@pytest.mark.parametrize("removed", ["null", "~", "None", ""])
@pytest.mark.parametrize("quoted", ['{"scannetpp": %s}', "{'scannetpp': %s}"])
def test_null_of_the_command_line_removes_a_dataset(study, removed, quoted):
    assert list(study(None, "datasets=" + quoted % removed).datasets) == ["scannet", "arkitscenes"]


NULLABLE = {
    "preset": "tiny",
    "toyworld.scans.seconds": "2",
    "datasets.scannet.max_scans": "3",
    "questions.text_only_margin": "0.1",
    "questions.total": "5",
    "questions.errata": "mine.csv",
    "cot.sentences": "2",
    "grpo.stop_without_update": "2",
    "runs.max_steps": "2",
    "cot.second_opinion": "gpt-4o-mini",
    "sft.system": "Be brief",
    "training.tracker": "wandb",
    "training.probe_every": "5",
    "grpo.ablation.grad_limit": "2",
    "site.boxes": "/data/boxes",
    "site.openai_base_url": "http://localhost:1",
    "models.base.same_as": "filter_base",
}


@pytest.mark.parametrize("key", NULLABLE)
def test_null_of_the_command_line_is_null(study, key):
    first, *rest = key.split(".")
    path = [first] if first in ("preset", "toyworld") else [first, *rest]

    def typed(value):
        for step in reversed(rest if value != "null" else path[1:]):
            value = f'{{"{step}": {value}}}'
        return f"{first}={value}"

    def found(loaded):
        for step in path:
            loaded = loaded[step] if isinstance(loaded, dict) else getattr(loaded, step)
        return loaded

    over = ["results=results/other"]
    assert found(study(None, typed(NULLABLE[key]), *over)) is not None
    assert found(study(None, typed(NULLABLE[key]), *over, typed("null"))) is None


def test_no_nullable_key_is_missing_from_the_test_above():
    def nullable(model, prefix=""):
        for name, info in model.model_fields.items():
            inner = config.base.plain(info.annotation)
            if inner is not info.annotation and type(None) in getattr(info.annotation, "__args__", ()):
                yield f"{prefix}{name}"
            elif isinstance(inner, type) and issubclass(inner, config.Section):
                yield from nullable(inner, f"{prefix}{name}.")

    named = {"datasets": config.Dataset, "models": config.Model}
    every = {*nullable(config.Config), *(f"{k}.*.{n}" for k, m in named.items() for n in nullable(m))}
    tested = {key.replace(".scannet.", ".*.").replace(".base.", ".*.") for key in NULLABLE}
    assert every == {"toyworld" if key.startswith("toyworld") else key for key in tested}


@pytest.mark.parametrize(
    ("add", "section"),
    [
        ("models: {mine: {name: x}}", "models"),
        ("site: {external: {spacer: x}}", "site.external"),
        ("site: {models: {base: x}}", "site.models"),
        ("questions: {mix: {route_planning: 0.2}}", "questions.mix"),
    ],
)
def test_entry_of_a_dictionary_is_added_and_removed(study, add, section):
    before = study("")
    for step in section.split("."):
        before = getattr(before, step)
    added = study(add)
    for step in section.split("."):
        added = getattr(added, step)
    (name,) = set(added) - set(before)
    nested = f'{{"{name}": null}}'
    first, *rest = section.split(".")
    for step in rest:
        nested = f'{{"{step}": {nested}}}'
    after = study(add, f"{first}={nested}")
    for step in section.split("."):
        after = getattr(after, step)
    assert after == before


def test_removed_entries_stay_removed_in_a_stage(study, tmp_path, monkeypatch):
    """A stage reads the whole study from its file, and lays nothing of it over the defaults."""
    from rollout3d.study import running

    loaded = study(
        "datasets: {scannetpp: null}\nmodels: {filter_base: null, own: {name: x}}\ndifficulty: {model: own}\n"
        "questions: {per_scene: {route_planning: null}, sources: {route_planning: null}}\n"
    )
    path = tmp_path / "study.json"
    running.write(path, loaded.model_dump(mode="json", exclude={"site"}), {})
    monkeypatch.setenv(running.VARIABLE, str(path))
    again = type(loaded).model_validate(running.Running.from_environment().values)
    assert again.model_copy(update={"site": loaded.site}) == loaded


@pytest.mark.parametrize(
    ("local", "says"),
    [
        ("datasets: {scanet: null}", "datasets.scanet is not there, so it cannot be removed; did you mean scannet"),
        ("models: {bse: null}", "models.bse is not there, so it cannot be removed; did you mean base?"),
        ("questions: {mix: {rout_planning: null}}", "did you mean route_planning?"),
    ],
)
def test_only_what_is_there_can_be_removed(study, local, says):
    assert says in study.refused(local)


# --- files


BAD_FILES = [
    (b"grpo:\n\tlr: 1\n", ":2: is indented with a tab; YAML wants spaces"),
    (b"seed: 1\ngrpo:\n  lr: 1\n\tbeta: 1\n", ":4: is indented with a tab; YAML wants spaces"),
    (b"# mine\n- a\n- b\n", ":2: holds a list; write keys, each as `key: value`"),
    (b"hello\n", ":1: holds only 'hello'; write keys, each as `key: value`"),
    (b"~\n", ":1: holds only '~'; write keys, each as `key: value`"),
    (b"seed: 1\ngrpo: ~\n", ":2: grpo is null, but it is a section: write its keys below it, or remove the line"),
    (b"site:\n  external:\n", ":2: site.external is null, but it is a section"),
    (b"grpo: 5\n", ":1: grpo is a section: write its keys below it, each as `key: value`, not 5"),
    (b"grpo: [1]\n", ":1: grpo is a section: write its keys below it, each as `key: value`, not [1]"),
    (b"runs:\n  select: ocr\n", ":2: runs.select must be a list, such as [a, b], not 'ocr'"),
    (b"seed: 1\nsft:\n  lr: 1\n  lr: 2\n", ":4: sft.lr stands twice, first on line 3; keep one of them"),
    (b"seed: 1\nseed: 1\n", ":2: seed stands twice, first on line 1; keep one of them"),
    (b"seed: 1\nresults: caf\xe9\n", ":2: this line is not UTF-8 text; save the file as UTF-8"),
    ("seed: 1\n".encode("utf-16"), ":1: this line is not UTF-8 text; save the file as UTF-8"),
    (b"sft: &x\n  lr: *x\n", ": sft.lr contains itself (a YAML anchor inside its own value)"),
    (b"seed: 1\n1: x\n", ":2: '1' is no name of a key; put it in quotes if it is meant"),
    (b"seed: !!python/name:os.system x\n", ":1: is not YAML: could not determine a constructor for the tag"),
    (b"seed: 1\na: b: c\n", ":2: is not YAML: mapping values are not allowed"),
    (b"seed: \x01\n", ": is not YAML: control characters are not allowed"),
    (b"---\nseed: 1\n---\nseed: 2\n", ":3: is not YAML:"),
    (b"results: 2024_01\n", ":1: results must be text, not 202401: put it in quotes"),
    (b"seed: 2024-13-45\n", ":1: seed must be a whole number, not '2024-13-45'"),
]


@pytest.mark.parametrize(("content", "says"), BAD_FILES, ids=[says for _, says in BAD_FILES])
def test_a_file_that_cannot_be_understood_gets_a_sentence_with_its_line(study, content, says):
    said = study.refused(content)
    assert said.startswith(LOCAL + says), said


@pytest.mark.parametrize("content", [b"", b"\n# nothing yet\n", b"---\n"])
def test_an_empty_file_sets_nothing(study, content):
    assert study(content) == StudyConfig()


@pytest.mark.parametrize(
    "content",
    [
        b"seed: 7\r\nsft:\r\n  lr: 1.0e-3\r\n",
        b"\xef\xbb\xbfseed: 7\nsft: {lr: 1e-3}\n",
        b"seed: 7\nsft: &mine {lr: 0.001}\n",
        b'{"seed": 7, "sft": {"lr": 0.001}}',
    ],
    ids=["Windows line ends", "byte order mark", "anchor", "JSON"],
)
def test_what_editors_make_of_a_good_file_is_read(study, content):
    loaded = study(content)
    assert loaded.seed == 7 and loaded.sft.lr == 1e-3


def test_anchors_and_merge_keys_work(study):
    loaded = study("sft: &train {lr: 0.001, lora_rank: 8}\ngrpo: {<<: *train, beta: 0}\n")
    assert (loaded.grpo.lr, loaded.grpo.lora_rank, loaded.grpo.beta) == (0.001, 8, 0.0)


def test_a_folder_or_a_dangling_link_in_place_of_a_file_is_named(study):
    Path(LOCAL).mkdir()
    assert study.refused() == f"{LOCAL}: is a folder; a file is expected there"
    Path(LOCAL).rmdir()
    Path(LOCAL).symlink_to("nowhere")
    assert study.refused().startswith(f"{LOCAL}: cannot be read: No such file")


def test_a_local_file_of_another_ending_is_not_silently_ignored(study):
    Path("config/local.yml").write_text("seed: 1\n")
    assert study.refused() == "config/local.yml: is not read; rename it to local.yaml"


# --- command line and presets


@pytest.mark.parametrize(
    ("argument", "key", "value"),
    [
        ("runs={'recipes': yes}", "recipes", True),
        ('runs={"recipes": "1"}', "recipes", True),
        ("runs={'recipes': False}", "recipes", False),
        ("evaluation={'benchmarks': []}", "benchmarks", []),
        ("evaluation={'probes': [black]}", "probes", ["black"]),
        ('evaluation={"temperature": 1e-1}', "temperature", 0.1),
    ],
)
def test_values_of_the_command_line_are_converted_by_their_key(study, argument, key, value):
    section = argument.split("=")[0]
    assert getattr(getattr(study(None, argument), section), key) == value


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_every_value_in_braces_may_arrive_as_text(study, preset):
    """Snakemake reads a section in braces with a YAML loader that knows neither numbers nor truth values."""

    def as_text(value):
        if isinstance(value, dict):
            return {key: as_text(inner) for key, inner in value.items() if inner is not None}
        if isinstance(value, list):
            return [as_text(inner) for inner in value]
        return json.dumps(value) if isinstance(value, bool | int | float) else value

    plain = study(f"preset: {preset}\n" if preset else "")
    sections = {name: value for name, value in plain.model_dump(mode="json").items() if isinstance(value, dict)}
    typed = [f"{name}={json.dumps(as_text(section))}" for name, section in sections.items()]
    assert study(None, *typed) == plain


def test_text_of_the_command_line_stays_as_it_was_typed(study):
    assert study(None, "results=2024_01").results == "2024_01"
    assert study(None, 'difficulty={"run": "007"}').difficulty.run == "007"


def test_broken_json_on_the_command_line_is_refused(study):
    assert study.refused(None, "grpo={'lr': ").startswith("--config grpo: ")


def test_the_command_line_wins_over_the_local_file_and_that_over_the_preset(study):
    assert study("preset: tiny\nseed: 3\ntorch_threads: 2\n", "seed=4").model_dump(
        include={"seed", "torch_threads"}
    ) == {
        "seed": 4,
        "torch_threads": 2,
    }
    assert study("preset: demo\n", "runs={'max_steps': 3}").runs.max_steps == 3
    Path("mine.yaml").write_text("seed: 5\n")
    assert study("seed: 3\n", files=["mine.yaml"]).seed == 5
    assert study("torch_threads: 3\n", files=["config/presets/tiny.yaml"]).torch_threads == 3
    assert study("seed: 3\n", "seed=7", files=["mine.yaml"]).seed == 7


def test_a_preset_may_be_named_on_the_command_line_or_by_a_file_of_the_users(study):
    assert study("", "preset=tiny").results == "results/tiny"
    assert study("preset: demo\n", "preset=tiny").results == "results/tiny"
    assert study("preset: demo\n", "preset=null").results == "results"
    Path("mine.yaml").write_text("preset: tiny\nseed: 5\n")
    mine = study("", files=["mine.yaml"])
    assert mine.seed == 5 and mine.results == "results/tiny" and mine.models["base"].shipped
    assert study("preset: demo\n", files=["config/presets/tiny.yaml"]).results == "results/tiny"
    said = study.refused("", "preset=demo", files=["mine.yaml"])
    assert said.startswith("--config: two presets at once, 'tiny' (mine.yaml:1) and 'demo' (--config)")
