"""The run table: every mistake that a text editor or a spreadsheet makes is a sentence with its line."""

from pathlib import Path

import pytest

from rollout3d import config

ROOT = Path(__file__).parents[2]
HEADER = "run\tmethod\tinit\ttrain_table\trollout\tschedule\tregions\treward\tsteps\tseed\ttables"
FILTER = "filter\tgrpo\tfilter_base\tocr_rl\tvanilla\t-\t-\tocr\t20\t0\ttable1"
SFT = "sft\tsft\tbase\tocr_sft\t-\t-\t-\t-\t-\t0\ttable3"
OCR = "ocr\tgrpo\tsft\tocr_rl\tobject_centric\tlinear\taabb_none\tocr\t20\t0\ttable2,table3"
QWEN = "qwen3b\tnone\tbase\t-\t-\t-\t-\t-\t-\t0\ttable2"


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(*rows, header=HEADER, end="\n", settings=None, content=None):
        text = end.join(["# one row a run", header, FILTER, SFT, OCR, QWEN, *rows, ""])
        Path("runs.tsv").write_bytes(content if content is not None else text.encode())
        return config.read_runs("runs.tsv", config.Config.model_validate(settings or {}))

    return read


def refused(table, *rows, **more):
    with pytest.raises(config.ConfigError) as caught:
        table(*rows, **more)
    return str(caught.value)


def test_a_good_table_is_read_in_file_order(table):
    assert list(table()) == ["filter", "sft", "ocr", "qwen3b"]
    assert table()["ocr"].tables == ["table2", "table3"]


def test_what_editors_and_spreadsheets_make_of_a_good_table_is_read(table):
    expected = table()
    assert table(end="\r\n") == expected
    text = "\n".join([HEADER, FILTER, SFT, OCR, QWEN])
    assert table(content=b"\xef\xbb\xbf" + text.encode()) == expected
    assert table(content=text.replace("\t", " \t ").encode()) == expected
    assert table(content=text.replace("table2,table3", '"table2, table3"').encode()) == expected
    assert table(content=f"\n{text}\n\n# the end\n".encode()) == expected


def test_a_column_that_nobody_needs_may_be_left_out(table):
    def without_seed(line):
        cells = line.split("\t")
        return "\t".join(cells[:9] + cells[10:])

    lines = [without_seed(line) for line in (HEADER, FILTER, SFT, OCR, QWEN)]
    assert table(content="\n".join(lines).encode()) == table()


BAD_ROWS = [
    ("x\tsft\tbase\tocr_sft\t-\t-\t-\t-\t-\t0", "10 cells where the header has 11; cells are separated by tabs"),
    (QWEN.replace("qwen3b", "x") + "\t\t", "13 cells where the header has 11"),
    ("x none base - - - - - - 0 table2", "1 cell where the header has 11; they stand between spaces, not tabs"),
    ("x\tsft\tbase\tocr_sft\t-\t-\t-\t-\tmany\t0\t-", "column steps must be a whole number, not 'many'"),
    ("x\tsft\tbase\tocr_sft\t-\t-\t-\t-\t0\t0\t-", "column steps must be more than 0, not '0'"),
    ("x\tsft\tbase\tocr_sft\t-\t-\t-\t-\t-\tx1\t-", "column seed must be a whole number, not 'x1'"),
    ("x\tsft\tbase\tocr_sft\t-\t-\t-\t-\t-\t-3\t-", "column seed must be at least 0, not '-3'"),
    (
        "x\tsfd\tbase\tocr_sft\t-\t-\t-\t-\t-\t0\t-",
        "column method: sfd is not one of none, sft, grpo; did you mean sft?",
    ),
    (
        "x\tsft\tbase\tocrsft\t-\t-\t-\t-\t-\t0\t-",
        "column train_table: ocrsft is not a train table; did you mean ocr_sft",
    ),
    ("x\tsft\tbase\tmine\t-\t-\t-\t-\t-\t0\t-", "mine is not a train table; choose from ocr_rl, ocr_sft, video_r1_cot"),
    (
        "x\tsft\tbase\tocr_rl\t-\t-\t-\t-\t-\t0\t-",
        "cannot train on ocr_rl, which has no reasoning: name ocr_sft, or set style to direct",
    ),
    (
        "x\tgrpo\tbase\tsr\tvanilla\t-\t-\tocr\t5\t0\t-",
        "run 'x' trains on sr, and the questions about scans are the table sr_91k with questions.rules ocr",
    ),
    (
        "x\tgrpo\tbase\tocr_rl\tvanilla\t-\t-\tspacer\t5\t0\t-",
        "run 'x' has reward spacer, which pays for cognitive maps, and its prompt (prompts.think: video_r1) offers "
        "none: set prompts.think to map, in its recipe or for the study, or give it a reward without maps",
    ),
    (
        "x\tsft\tbase\tocr_sft\t-\t-\t-\t-\t-\t0\ttabel2",
        "column tables[0]: tabel2 is not a table; did you",
    ),
    ("x\tgrpo\tbase\tocr_rl\tvanila\t-\t-\tocr\t5\t0\t-", "column rollout: vanila is not a rollout"),
    (
        "x\tgrpo\tsfd\tocr_rl\tvanilla\t-\t-\tocr\t5\t0\t-",
        "column init: sfd is not a run or a model; did you mean sft?",
    ),
    ("x\tgrpo\t-\tocr_rl\tvanilla\t-\t-\tocr\t5\t0\t-", "column init is missing"),
    (QWEN, "run 'qwen3b' appears twice, first on line 6; rename one"),
    (QWEN.replace("qwen3b", "base"), "run 'base' has the name of a model"),
]


@pytest.mark.parametrize(("row", "says"), BAD_ROWS, ids=[says for _, says in BAD_ROWS])
def test_a_bad_row_is_a_sentence_with_its_line(table, row, says):
    said = refused(table, row)
    assert said.startswith("runs.tsv:7: ") and says in said and "\n" not in said, said


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".x", "-x", "a{b}", "a|b", "a(b", "größe", "a'b", "x" * 101])
def test_a_name_that_is_no_folder_or_would_be_a_pattern_is_refused(table, name):
    assert "is no usable name: it becomes a folder" in refused(table, QWEN.replace("qwen3b", name))


@pytest.mark.parametrize("name", ["lr1e-6", "v1.2", "2", "_x", "A-b_c.d"])
def test_letters_digits_dashes_and_dots_make_a_name(table, name):
    assert name in table(QWEN.replace("qwen3b", name))


def test_names_that_one_pattern_could_not_tell_apart_are_refused(table):
    assert "runs 'a.b' and 'a_b' are too much alike" in refused(
        table, QWEN.replace("qwen3b", "a.b"), QWEN.replace("qwen3b", "a_b")
    )
    models = {name: {"name": "x"} for name in ("base", "filter_base", "m.b", "m-b")}
    with pytest.raises(ValueError, match=r"models.m.b and models.m-b are too much alike"):
        config.Config.model_validate({"models": models})


def test_all_problems_of_the_table_are_told_at_once(table):
    said = refused(table, "x\tsft", "y\tsft\tbase\tocr_sft\t-\t-\t-\t-\tmany\tx\t-")
    assert said.count("runs.tsv:7: ") == 1 and said.count("runs.tsv:8: ") == 2


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (
            HEADER.replace("steps", "step"),
            "runs.tsv:2: column step is not one of the run table; did you mean steps or style?",
        ),
        (HEADER.replace("seed", "steps"), "runs.tsv:2: column steps stands twice"),
        (HEADER.replace("method\t", ""), "runs.tsv:2: column method is missing"),
        (HEADER.replace("\t", "  "), "runs.tsv:2: the columns are separated by spaces; separate them by tabs"),
    ],
)
def test_a_bad_header_is_a_sentence_with_its_line(table, header, says):
    assert refused(table, header=header) == says


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_an_empty_table_is_refused(table, content):
    assert refused(table, content=content).startswith("runs.tsv: holds no run; its first line names the columns: run, ")


def test_a_table_that_cannot_be_read_is_named(table):
    assert refused(table, content=b"run\tm\xe9thod\n").startswith("runs.tsv:1: this line is not UTF-8 text")
    with pytest.raises(config.ConfigError, match=r"nowhere.tsv: the run table cannot be read: No such .*runs.table"):
        config.read_runs("nowhere.tsv", config.Config())


def test_runs_that_start_from_each_other_are_refused(table):
    row = "{}\tgrpo\t{}\tocr_rl\tvanilla\t-\t-\tocr\t5\t0\t-"
    said = refused(table, row.format("a", "b"), row.format("b", "c"), row.format("c", "a"))
    assert "runs.tsv:7: run 'a' starts from itself: a -> b -> c -> a" in said
    assert "starts from itself: d -> d" in refused(table, row.format("d", "d"))


def test_a_run_that_the_configuration_names_must_have_a_row(table):
    said = refused(table, settings={"runs": {"select": ["ocr", "stf"]}, "difficulty": {"run": "filtr"}})
    assert "runs.select: stf is not a run of runs.tsv; did you mean sft?" in said
    assert "difficulty.run: filtr is not a run of runs.tsv; did you mean filter?" in said


def test_the_filter_run_cannot_need_the_questions_that_it_selects(table):
    said = refused(table, settings={"difficulty": {"run": "ocr"}})
    assert said.startswith("difficulty.run: 'ocr' rests on run 'sft', which trains on ocr_sft")


def test_a_run_named_twice_in_select_counts_once():
    assert config.Config.model_validate({"runs": {"select": ["ocr", "sft", "ocr"]}}).runs.select == ["ocr", "sft"]


def test_the_cap_on_steps_is_applied(table):
    assert table(settings={"runs": {"max_steps": 7}})["ocr"].steps == 7


MORE = HEADER + "\tstyle\tat"


def wide(table, *rows, **more):
    """A table with the columns style and at; rows are (run, method, init, style, at) with what they train."""
    lines = [MORE, *(f"{line}\t-\t-" for line in (FILTER, SFT, OCR, QWEN)), *rows]
    return table(content="\n".join(lines).encode(), **more)


def none(run, init, style="-", at="-"):
    return f"{run}\tnone\t{init}\t-\t-\t-\t-\t-\t-\t0\t-\t{style}\t{at}"


def test_a_run_is_asked_directly_without_training_and_otherwise_as_its_row_says(table):
    runs = wide(table, none("t", "base", "think"), none("d", "ocr"))
    assert {name: run.asked for name, run in runs.items()} == {
        **{"filter": "think", "sft": "think", "ocr": "think", "qwen3b": "direct"},
        **{"t": "think", "d": "direct"},
    }


def test_sft_in_style_direct_may_train_on_answers_alone(table):
    row = "x\tsft\tbase\tocr_rl\t-\t-\t-\t-\t-\t0\t-\tdirect\t-"
    assert wide(table, row)["x"].asked == "direct"


def test_rollouts_cannot_be_asked_directly(table):
    row = OCR.replace("ocr\t", "x\t", 1) + "\tdirect\t-"
    with pytest.raises(config.ConfigError, match=r"run 'x' \(grpo\) has style direct, and its rollouts reason"):
        wide(table, row)


def test_a_row_that_names_a_checkpoint_starts_from_its_run(table):
    for init in ("-", "ocr"):
        run = wide(table, none("half", init, "think", "ocr@10"))["half"]
        assert (run.init, run.checkpoint, run.asked) == ("ocr", ("ocr", 10), "think")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (none("x", "-", at="ocr@20"), "column at: ocr@20: run 'ocr' has 20 steps: name fewer, or the run itself"),
        (none("x", "-", at="sft@2"), "column at: sft@2: sft is not a GRPO run of the run table"),
        (none("x", "-", at="base@2"), "column at: base@2: base is not a GRPO run"),
        (none("x", "-", at="nobody@2"), "column at: nobody@2: nobody is not a GRPO run"),
        (none("x", "-", at="ocr@0"), "column at must be RUN@STEPS, such as spacer@1000, not 'ocr@0'"),
        (none("x", "-", at="ocr"), "column at must be RUN@STEPS, such as spacer@1000, not 'ocr'"),
        (none("x", "filter", at="ocr@2"), "run 'x' starts from filter, and its checkpoint is ocr@2: clear init"),
        (OCR.replace("ocr\t", "x\t", 1) + "\t-\tsft@2", "run 'x' (grpo) names a checkpoint in column at"),
    ],
)
def test_a_checkpoint_that_training_never_reaches_is_a_sentence_with_its_line(table, row, says):
    with pytest.raises(config.ConfigError) as caught:
        wide(table, row)
    assert str(caught.value).startswith("runs.tsv:6: ") and says in str(caught.value), str(caught.value)


def test_the_cap_on_steps_counts_for_checkpoints(table):
    with pytest.raises(config.ConfigError, match=r"run 'ocr' has 8 steps \(runs.max_steps: 8\)"):
        wide(table, none("x", "-", at="ocr@10"), settings={"runs": {"max_steps": 8}})


def test_a_reward_for_maps_needs_the_map_prompt_of_the_runs_own_recipe(table, tmp_path):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mapped.yaml").write_text("prompts: {think: map}\n")
    (tmp_path / "recipes" / "plain.yaml").write_text("prompts: {think: plain}\n")
    row = "x\tgrpo\tbase\tocr_rl\tvanilla\t-\t-\tspacer\t5\t0\t-\t{}"
    lines = [HEADER + "\trecipe", *(f"{line}\t-" for line in (FILTER, SFT, OCR, QWEN))]

    def read(recipe, think="video_r1"):
        content = "\n".join([*lines, row.format(recipe)]).encode()
        return table(content=content, settings={"prompts": {"think": think}})

    assert read("mapped")["x"].needs_maps
    assert read("-", "map")["x"].needs_maps
    for recipe, think in (("plain", "map"), ("-", "video_r1")):
        with pytest.raises(config.ConfigError, match="run 'x' has reward spacer, which pays for cognitive maps"):
            read(recipe, think)


def test_keys_of_maps_need_the_map_prompt():
    with pytest.raises(
        ValueError, match="leak_keys: the list of categories stands in the map prompt, and think is plain"
    ):
        config.Config.model_validate({"prompts": {"think": "plain", "leak_keys": True}})
    assert config.Config.model_validate({"prompts": {"think": "map", "leak_keys": True}}).prompts.leaks


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x none ocr - - - - - - 0 - - - own_map", "is given maps (own) and is asked directly, which shows none: set"),
        ("x none qwen3b - - - - - - 0 think - - own_map", "is given the maps of run 'qwen3b', whose prompts ask for"),
        ("x none base - - - - - - 0 think - - own_map", "is given own maps and starts from the model base"),
        ("x none mapped - - - - - - 0 think - - own_map", "of 20 cells, and its own prompts.map_grid is 10"),
    ],
)
def test_given_maps_need_a_prompt_that_shows_them_and_a_run_that_draws_them(table, tmp_path, row, says):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "own_map.yaml").write_text("prompts: {think: map}\nevaluation: {given_map: own}\n")
    (tmp_path / "recipes" / "wide_map.yaml").write_text("prompts: {think: map, map_grid: 20}\n")
    header = HEADER.replace("\ttables", "\tstyle\tat\ttables\trecipe")
    width = header.count("\t") + 1
    known = ["\t".join([*line.split("\t")[:10], "-", "-", "-", "-"]) for line in (FILTER, SFT, OCR, QWEN)]
    mapped = "mapped grpo base ocr_rl vanilla - - ocr 5 0 - - - wide_map"
    lines = [header, *known, *(each.replace(" ", "\t") for each in (mapped, row))]
    assert {line.count("\t") + 1 for line in lines} == {width}
    with pytest.raises(config.ConfigError) as caught:
        table(content="\n".join(lines).encode())
    assert says in str(caught.value), str(caught.value)
