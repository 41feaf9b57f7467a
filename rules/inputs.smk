# Where each table lies, and which of them each stage reads.
def shards(dataset):
    return range(study.datasets[dataset].shards)


def scene_tables(kind, datasets=None):
    """Paths of one scene table over all shards of the given datasets (default: all of them)."""
    return [
        f"<results>/scenes/{dataset}/{shard}/{kind}.parquet"
        for dataset in (datasets or study.datasets)
        for shard in shards(dataset)
    ]


def question_tables(kind=""):
    """Tables of the generated questions, or of what was left out of them (`_dropped`)."""
    return [
        f"<results>/questions/{dataset}/{shard}{kind}.parquet"
        for dataset in study.datasets
        for shard in shards(dataset)
    ]


RELEASED = ("spacer", "vlm3r_route", "vlm3r_order", "video_r1")
"""Files of questions that others released, by their key in `site.external`."""


def imported(kind="", sources=RELEASED):
    """Tables of the releases that are configured: questions, or what was left out of them (`_dropped`)."""
    return [f"<results>/questions/external/{s}{kind}.parquet" for s in sources if s in study.site.external]


def judged():
    """Verdicts on questions, once the judge may spend something; video_r1 holds none about scans."""
    if not study.judge.max_usd:
        return []
    own = ["<results>/questions/external/generated.verdicts.parquet"] if study.judge.generated_sample else []
    return imported(".verdicts", RELEASED[:3]) + own


def judged_questions(wildcards):
    """What the judge reads: an import, or the generated questions that it samples."""
    own = f"<results>/questions/external/{wildcards.source}.parquet"
    return question_tables() if wildcards.source == "generated" else own


def errata():
    """Answers that are known to be wrong: what others have published of the benchmark's boxes, and the study's own."""
    own = study.questions.errata
    if own and not Path(own).is_file():
        raise refused(f"questions.errata: there is no file {own}: correct the path, or remove the line")
    return [
        *([shipped("resources/errata.csv")] if study.questions.compat == "corrected" else []),
        *([own] if own else []),
    ]


def asks_own_scans(benchmark):
    """Return whether a benchmark is made of the study's own test scans, and not of files that others released."""
    return not doors.BENCHMARKS.constant(benchmark, "RELEASED", True)


def released_benchmarks():
    """Questions of the benchmarks that others released: their spaces are never trained on."""
    return [f"<results>/benchmarks/{b}/questions.parquet" for b in study.evaluation.benchmarks if not asks_own_scans(b)]


def model_file(key_or_run):
    """`model.json` of a model key, or of a run (a run without training is the model that it starts from)."""
    run = RUNS.get(key_or_run)
    if run and run.method == "none" and not run.at:
        return model_file(run.init)
    if run:
        return f"<results>/runs/{run.run}/model.json"
    return f"<results>/models/{study.models[key_or_run].same_as or key_or_run}/model.json"


def runs_of(method):
    """Wildcard constraint: the runs of one method that are not kept (never matches if there is none)."""
    return "|".join(name for name, run in RUNS.items() if run.method == method and name not in study.keep) or "(?!)"


def checkpoints():
    """Wildcard constraint: rows that name a checkpoint of another run and are not kept."""
    return "|".join(name for name, run in RUNS.items() if run.at and name not in study.keep) or "(?!)"


def kept_steps(wildcards):
    """Numbers of steps after which a run keeps its weights: those that rows of the run table name."""
    named = [run.checkpoint for run in RUNS.values() if run.at]
    return sorted({step for name, step in named if name == wildcards.run})


def runs_in(table):
    """Runs that a table of the paper reports."""
    return [name for name, run in RUNS.items() if table in run.tables]


def score_tables(runs):
    return [
        f"<results>/eval/{run}/{benchmark}/scores.parquet" for run in runs for benchmark in study.evaluation.benchmarks
    ]


def run_row(wildcards):
    """The run's row as JSON, without what does not change its result."""
    return RUNS[wildcards.run].model_dump_json(exclude={"tables", "settings"})


def recipe_of(run):
    """What a run has for itself, as JSON that a stage lays over the study's configuration."""
    own = {key: value for key, value in RUNS[run].settings.items() if key != "run"}
    return canonical_json(own)


def run_recipe(wildcards):
    return recipe_of(wildcards.run)


def difficulty_recipe(wildcards):
    """The filter model after GRPO is asked as it was trained; before, as the study says."""
    return recipe_of(study.difficulty.run) if wildcards.setting == "frames16_grpo" else "{}"


def recipes_of(runs):
    """What runs have for themselves, as JSON: a table that compares runs says in what they differ."""
    return canonical_json(summaries(study, [RUNS[run] for run in runs]))


def table_recipes(wildcards):
    return recipes_of(runs_in(wildcards.table))


# Frame sets: what is stored is what the runs of the run table need, whichever of them are trained.
def scan_sets(wildcards):
    """Sets of scans: the study's, those that runs are evaluated with, and those of runs that train on scans."""
    found = set().union(stored_sets(study), *map(evaluated_sets, OF_RUNS))
    return sorted(found | {train_set(study_of(name).video) for name, run in RUNS.items() if run.trains_on_scans})


def region_sets(wildcards):
    """Sets of the runs that perturb by these regions; the study's own, for a table asked for by hand."""
    runs = [name for name, run in RUNS.items() if run.regions == wildcards.mode]
    found = {train_set(study_of(run).video) for run in runs}
    if wildcards.mode == PROBED and any(map(probes_objects, study.evaluation.benchmarks)):
        found |= set().union(*map(evaluated_sets, OF_RUNS))
    if wildcards.mode == PROBED and makes_probed_regions():
        found |= {train_set(study_of(run).video) for run in trained(study.runs.select)}
    return sorted(found or {train_set(study.video)})


def benchmark_sets(wildcards):
    return sorted({eval_set(each.evaluation, each.video, wildcards.benchmark) for each in OF_RUNS})


def own_video_sets(wildcards):
    """Sets of the videos that questions bring along: those of the runs that train on them, and of the difficulty filter."""
    table = "ocr_rl" if hasattr(wildcards, "source") else "video_r1_cot"
    trained_on = ("ocr_rl", "general_60k") if table == "ocr_rl" else (table,)
    found = {train_set(study_of(name).video) for name, run in RUNS.items() if run.train_table in trained_on}
    return sorted(found | ({train_set(study.video)} if table == "ocr_rl" or not found else set()))


def run_init(wildcards):
    return model_file(RUNS[wildcards.run].init)


def train_table(wildcards):
    return f"<results>/train/{RUNS[wildcards.run].train_table}.parquet"


def region_tables(wildcards):
    """Regions that a run perturbs; none for the other rollouts."""
    mode = RUNS[wildcards.run].regions
    return scene_tables(f"regions.{mode}") if mode else []


def object_tables(wildcards):
    return scene_tables("objects") if RUNS[wildcards.run].regions else []


def cognitive_maps():
    """Tables of the cognitive maps of all scans."""
    return [f"<results>/maps/{dataset}/{shard}.parquet" for dataset in study.datasets for shard in shards(dataset)]


def reads_maps(run):
    """Return whether a run of GRPO needs cognitive maps: its reward compares answers with them, or its prompt lists
    their categories."""
    return RUNS[run].method == "grpo" and (RUNS[run].needs_maps or study_of(run).prompts.leaks)


def run_maps(wildcards):
    """Cognitive maps of a run that needs them."""
    return cognitive_maps() if reads_maps(wildcards.run) else []


def scan_manifest(wildcards):
    """Synthetic scans must be rendered first; real releases are not files of the workflow (a dry run has none).

    Scans of a dataset in whose format the toy world cannot write are real ones in any study.
    """
    return f"<results>/scans/{wildcards.dataset}.parquet" if study.toyworld and wildcards.dataset in FORMATS else []


def models_where(tiny):
    return "|".join(k for k, m in study.models.items() if m.tiny is tiny and not m.same_as) or "(?!)"


def difficulty_model(wildcards):
    return model_file(study.difficulty.run if wildcards.setting == "frames16_grpo" else study.difficulty.model)


def difficulty_questions(wildcards):
    """All training questions; for the resampled set those about scans."""
    return f"<results>/train/{scans_table(study) if wildcards.setting == SAMPLED else 'ocr_rl'}.parquet"


def difficulty_maps(wildcards):
    """Top views, for the setting that shows them."""
    return scene_tables("maps") if wildcards.setting == "frames16_bev" else []


def difficulty_tables(setting):
    return [f"<results>/difficulty/{setting}/{shard}.parquet" for shard in range(study.generation.shards)]


def benchmark_questions(wildcards):
    return "<results>/questions/test.parquet" if asks_own_scans(wildcards.benchmark) else []


def benchmark_frames(wildcards):
    return scene_tables("frames") if asks_own_scans(wildcards.benchmark) else []


def shown_to_teacher(table):
    """Files of a scene table that the teacher looks at."""
    return scene_tables(table) if table in doors.TEACHERS.constant(study.cot.teacher, "TABLES", ()) else []


PUBLISHED_MAPS = "<results>/benchmarks/vsibench/maps.parquet"
"""Maps of VSI-Bench's published boxes."""


def benchmark_maps(benchmark):
    """Tables of the true maps of a benchmark's scenes: of the study's own scans, of published boxes (VSI-Bench), or of
    raw scans that are ingested for their test splits; none where there are neither."""
    if asks_own_scans(benchmark):
        return cognitive_maps()
    if benchmark == "vsibench" and study.site.boxes:
        return [PUBLISHED_MAPS]
    tested = [name for name, each in study.datasets.items() if each.splits.test]
    return [f"<results>/maps/{dataset}/{shard}.parquet" for dataset in tested for shard in shards(dataset)]


def given_map_of(run, benchmark):
    """Return which map the prompts of a run give on a benchmark; direct prompts give none."""
    return map_given(study_of(run).evaluation, RUNS[run].asked, benchmark)


def given_maps(wildcards):
    """True maps, for a run whose prompts give them or random ones; the preflight asks for published boxes."""
    if given_map_of(wildcards.run, wildcards.benchmark) not in ("ground_truth", "random"):
        return []
    found = benchmark_maps(wildcards.benchmark)
    if not found and wildcards.benchmark != "vsibench":
        raise refused(
            f"run {wildcards.run} is given maps of {wildcards.benchmark}, whose scans the study does not read: set "
            "datasets.<name>.splits.test: [val]"
        )
    return found or [PUBLISHED_MAPS]


def own_answers(wildcards):
    """Answers of the run that a run starts from, where prompts give the maps in them."""
    if given_map_of(wildcards.run, wildcards.benchmark) != "own":
        return []
    start = RUNS[wildcards.run].init
    if start not in RUNS:
        raise refused(
            f"runs.table: run {wildcards.run} is given own maps (evaluation.given_map) and starts from the model {start}, "
            "which answers nothing in this study: let it start from a run"
        )
    return f"<results>/eval/{start}/{wildcards.benchmark}/predictions.parquet"


def scored_maps(wildcards):
    """True maps of the benchmark's scenes, for a run whose prompts offer or give maps; none where there are none."""
    asked = study_of(wildcards.run)
    if (
        RUNS[wildcards.run].asked == "direct"
        or not configuration.map_grid_of(asked)
        or not shows_scans(wildcards.benchmark)
    ):
        return []
    return benchmark_maps(wildcards.benchmark)


def evaluation_shards(wildcards):
    folder = f"<results>/eval/{wildcards.run}/{wildcards.benchmark}/predictions"
    return [f"{folder}/{shard}.parquet" for shard in range(study.generation.shards)]


def kept_names(wildcards, output):
    """Kept rules and runs that a result rests on (rules/lineage.smk): every number says so."""
    return kept_above(str(output[0]))


def run_method(wildcards):
    return RUNS[wildcards.run].method


def run_style(wildcards):
    return RUNS[wildcards.run].asked


def run_model(wildcards):
    return model_file(wildcards.run)


def trained(runs):
    """Runs among `runs`, and those they build on, that train something."""
    found = []
    for name in runs:
        while name in RUNS and name not in found:
            found.append(name)
            name = RUNS[name].init
    return [name for name in RUNS if name in found and RUNS[name].method != "none"]


PAPERS = {doors.paper_of(table) for run in RUNS.values() for table in run.tables} or {doors.OWN_PAPER}
"""Papers whose tables the run table names; OCR where it names none."""
HARD = doors.OWN_PAPER in PAPERS or any(RUNS[name].train_table == "ocr_sft" for name in trained(study.runs.select))
"""True if the page shows hard questions and their reasoning: of OCR's runs, or where a selected run trains on them."""
SHOWN = trained([*study.runs.select, *([study.difficulty.run] if HARD else [])])


def if_hard(path):
    """A table of the hard questions, for a page that shows them."""
    return path if HARD else []


def table_needs(wildcards):
    """What a table of the paper is made from (rollout3d/report/paper)."""
    return doors.PAPER_TABLES.constant(wildcards.table, "NEEDS", ())


def table_reference(wildcards):
    """The numbers of the paper that prints a table."""
    return shipped(f"resources/reference/{doors.paper_of(wildcards.table)}.csv")


def table_scores(wildcards):
    """Scores of the runs that a table compares."""
    return score_tables(runs_in(wildcards.table)) if "scores" in table_needs(wildcards) else []


def table_predictions(wildcards):
    """Predictions of the four settings, or those for the resampled set."""
    needs = table_needs(wildcards)
    settings = [*(SETTINGS if "predictions" in needs else ()), *([SAMPLED] if "sampled" in needs else [])]
    return [path for setting in settings for path in difficulty_tables(setting)]


def table_answers(wildcards):
    """Predictions of the runs that a table compares, on the benchmark that tables report: the first."""
    runs = runs_in(wildcards.table) if "answers" in table_needs(wildcards) else []
    return [f"<results>/eval/{run}/{b}/predictions.parquet" for run in runs for b in study.evaluation.benchmarks[:1]]


def table_runs(wildcards):
    """The run table, which says which model each run starts from."""
    return RUN_TABLE if "runs" in table_needs(wildcards) else []


def table_questions(wildcards):
    """The training tables that a table of a paper describes, and the questions of the benchmark that it reports."""
    needs = table_needs(wildcards)
    asked = study.evaluation.benchmarks[:1] if "questions" in needs else []
    return [
        *(f"<results>/train/{name}.parquet" for name in ("ocr_rl", "ocr_sft") if name in needs),
        *([f"<results>/train/{scans_table(study)}.parquet"] if "sr_91k" in needs else []),
        *(f"<results>/benchmarks/{benchmark}/questions.parquet" for benchmark in asked),
    ]


def table_scenes(wildcards):
    """Scans whose videos a table describes."""
    return scene_tables("scenes") if "scenes" in table_needs(wildcards) else []


def page_tables():
    """Tables that the page shows beside those of its scores, of the papers that the run table names: OCR's, and those of
    others if the study selects all their runs."""
    named = dict.fromkeys(table for run in RUNS.values() for table in run.tables)
    others = [
        name
        for name in named
        if doors.paper_of(name) != doors.OWN_PAPER
        and doors.PAPER_TABLES.constant(name, "NEEDS", ()) != ("scores", "runs")
        and set(runs_in(name)) <= set(study.runs.select)
    ]
    own = ("table1", "figure3") if doors.OWN_PAPER in PAPERS else ()
    return [f"<results>/report/{name}.parquet" for name in (*own, *others)]
