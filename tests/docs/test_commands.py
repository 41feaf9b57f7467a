"""Commands that documents show: each is run, or parsed by what it would call."""

import contextlib
import importlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from dag.clones import copy_repository, snakemake
from rollout3d.stages import registry
from scenes import mini

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
OTHERS = ("export ", "hf ", "python3 -m venv ", "pip ", "vllm ", ".venv-gpu/bin/pip ", "git ", "duckdb ")
"""Commands of other programs, which are not ours to run."""


def commands() -> list[tuple[str, str]]:
    """(page:line, command) of each line in a bash block, and of each `make` or `rollout3d` command in the text."""
    found = []
    for page in PAGES:
        text, name = page.read_text(), page.relative_to(ROOT)
        for block in re.finditer(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
            at = text.count("\n", 0, block.start()) + 2
            joined = re.sub(r"\\\n\s*", " ", block[1])
            found += [(f"{name}:{at}", line.strip()) for line in joined.splitlines() if line.strip()]
        outside = re.sub(r"```.*?```", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL)
        for inline in re.finditer(r"`((?:make |rollout3d |snakemake |python -m rollout3d)[^`\n]*)`", outside):
            found.append((f"{name}:{text.count(chr(10), 0, inline.start()) + 1}", inline[1]))
    return found


def words(command: str) -> list[str]:
    """Words of a command without its comment and variables before it."""
    split = shlex.split(re.sub(r"\s+#.*$", "", command))
    while split and re.match(r"^[A-Z_]+=", split[0]):
        split = split[1:]
    return split


COMMANDS = commands()


def of(head: str) -> list:
    return [pytest.param(split, id=where) for where, line in COMMANDS if (split := words(line)) and split[0] == head]


@cache
def options(stage: str) -> set[str]:
    """Options that `rollout3d STAGE --help` lists."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        importlib.import_module(f"rollout3d.stages.{stage}").main(["--help"])
    return set(re.findall(r"(?<![\w-])--[\w-]+", out.getvalue()))


def test_every_command_is_one_that_a_test_here_reads():
    known = {"make", "rollout3d", "snakemake", "python"}
    unknown = [
        (where, line)
        for where, line in COMMANDS
        if not line.startswith((*OTHERS, ".ci/")) and (words(line) or [""])[0].rpartition("/")[2] not in known
    ]
    assert not unknown
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("split", of("rollout3d"))
def test_a_stage_of_a_command_exists_and_has_its_options(split):
    if len(split) == 1 or split[1] in ("STAGE", "NAME", "--help", "--version"):
        return
    stage = split[1].replace("-", "_")
    assert stage in registry.STAGES, f"rollout3d {split[1]}: no such stage"
    if stage == "preflight":  # takes the options of Snakemake
        return
    used = {word.partition("=")[0] for word in split[2:] if word.startswith("--")}
    assert used <= options(stage), f"{split[1]} has no {sorted(used - options(stage))}"


@pytest.mark.parametrize("split", of("make"))
def test_a_target_of_make_exists(split):
    targets = [word for word in split[1:] if "=" not in word and not word.startswith("-")]
    rules = set(re.findall(r"^([\w./$()-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    rules |= {rule.replace("$(VENV)", ".venv") for rule in rules}
    assert set(targets) <= rules


@pytest.mark.parametrize("split", of("python"))
def test_a_module_or_script_of_python_exists_and_code_compiles(split):
    if split[1] == "-m":
        name = split[2].removesuffix(".NAME")
        assert importlib.util.find_spec(name), f"no module {name}"
    elif split[1] == "-c":
        compile(split[2], "document", "exec")
    else:
        assert (ROOT / split[1]).is_file()


SNAKEMAKE = list(dict.fromkeys(" ".join(map(shlex.quote, param.values[0])) for param in of("snakemake")))


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("documents") / "clone")


@pytest.mark.parametrize("command", SNAKEMAKE)
def test_snakemake_takes_a_command_on_a_bare_clone(command, clone):
    split = shlex.split(command)[1:]
    if any(word in ("...", "-s") for word in split) or "-R" in split or "--config" in split:
        pytest.skip("shows an option, not a command")
    run = snakemake(clone, "-n", "--quiet", "all", *split)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("stage", ["ask", "check_scan", "inventory"])
def test_the_first_commands_about_a_scan_run(stage, tmp_path, monkeypatch):
    mini.write_tsv(tmp_path / "release" / "scannetv2-labels.combined.tsv")
    (tmp_path / "release" / "scannetv2_val.txt").write_text("scene0000_00\n")
    mini.write_scannet(tmp_path / "release" / "scans" / "scene0000_00", "scene0000_00")
    monkeypatch.chdir(tmp_path)
    shown = [param.values[0] for param in of("rollout3d")]
    split = next(s for s in shown if s[1:2] == [stage.replace("_", "-")] and len(s) > 3)
    own = [word.replace("ROOT", str(tmp_path / "release")) for word in split[2:]]
    with contextlib.suppress(SystemExit):  # 1: a check failed, as the pictures of this scan are of one colour
        importlib.import_module(f"rollout3d.stages.{stage}").main(own)
    assert Path(own[own.index("--out") + 1]).exists()
