# What is current, for all rules alike. Included last: it reads the rules, and gives each of them a parameter `identity`
# (a digest of all that decides the result, its ancestors' identities among it) and an input function that compares what
# is in place with the lineage that it is wanted to have. So neither times nor touched, copied or moved files nor a lost
# .snakemake decide what runs, and a changed value marks the whole chain below it at once.
from types import SimpleNamespace

from rollout3d import code as source
from rollout3d.config.names import unknown
from rollout3d.fingerprint import roots_of
from rollout3d.stages import registry
from rollout3d.study import Job, States, Study, dump, running
from rollout3d.study.graph import SETS
from rollout3d.tables.store import Store

PARTED = ("frames", "regions", "visibility", "probes")
"""Outputs whose rows belong to frame sets."""
STAGE_OF = {
    "sft": "train_sft",
    "grpo": "train_grpo",
    "benchmark_maps": "cognitive_maps",
    "rollout_claims": "claims",
    "study_design": "study_table",
}
"""Rules whose stage has another name."""

MADE = {each.name: each for each in own_rules() if each.output}
KEPT = {name: MADE.pop(name) for name in study.keep if name in MADE}
"""Rules that the user keeps from running: left out, so that what they wrote counts as given."""

for name in study.keep:
    if name not in KEPT and name not in RUNS:
        raise refused(f"keep: {unknown(name, [*MADE, *RUNS], 'a run or a rule')}")
COSTLY = [name for name in MADE if registry.STAGES[STAGE_OF.get(name, name)].costly]
for name in study.rebuild:
    if name not in COSTLY:
        raise refused(f"rebuild: {unknown(name, COSTLY, 'a costly rule')}")
for name in KEPT:
    workflow._rules.pop(name)

STAGES = {STAGE_OF.get(name, name) for name in MADE}
DIGESTS = {stage: source.closure(stage).digest for stage in STAGES}
"""Digest of all code that a stage may run: a job that starts after the clone has changed refuses."""


def producer(path):
    """The job that writes a path, from the rules themselves; None if no rule does."""
    found = next((each for each in MADE.values() if each.is_producer(path)), None)
    if found is None:
        return None
    wildcards = found.get_wildcards(path)
    with looking:
        inputs, *_ = found.expand_input(wildcards)
    outputs, _ = found.expand_output(wildcards)
    stage = STAGE_OF.get(found.name, found.name)
    scope = registry.Scope(
        **{name: wildcards[name] for name in registry.WILDCARDS if name in wildcards},
        shard=int(wildcards["shard"]) if "shard" in wildcards else None,
        run_name=wildcards.get("run"),
        run=RUNS.get(wildcards.get("run")),
    )
    # A job of one run has the settings of its recipe; so has the filter model once it is trained.
    own = study_of(scope.run_name or (study.difficulty.run if scope.setting == "frames16_grpo" else None))
    chosen = registry.chosen(stage, own, scope)
    values, _ = registry.split(registry.job_values(stage, own, scope))
    beside = registry.STAGES[stage].beside
    parents = {name: plain(inputs[name]) for name in inputs.keys() if name not in beside}
    if found.name in ("score", "paper_table", "study_design", "study_table"):
        values["job.kept"] = sorted(set().union(*(kept_above(path) for paths in parents.values() for path in paths)))
    if "recipes" in found.params.keys():
        values["job.recipes"] = json.loads(given_to(found, "recipes", wildcards))
    sets = tuple(given_to(found, "sets", wildcards)) if "sets" in found.params.keys() else None
    if sets is not None:
        values[SETS] = list(sets)
    parted = [str(outputs[name]) for name in PARTED if name in outputs.keys()] if sets else []
    return Job(
        found.name,
        stage=stage,
        outputs=plain(outputs),
        parents={name: paths for name, paths in parents.items() if paths},
        values=values,
        code=source.closure(stage, chosen).digest,
        chosen=chosen,
        costly=registry.STAGES[stage].costly,
        rebuild=found.name in study.rebuild,
        sets=sets if parted else None,
        parted=tuple(parted),
        reads=registry.sets_read(stage, own, scope),
        benchmark=str(found.benchmark.apply_wildcards(wildcards)),
    )


def given_to(rule, name, wildcards):
    """A parameter of a rule's job: its value, or what its function of the wildcards gives."""
    value = rule.params[name]
    value = getattr(value, "callable", value)
    return value(SimpleNamespace(**wildcards)) if callable(value) else value


def plain(files):
    return (str(files),) if isinstance(files, str) else tuple(map(str, files))


class Looking:
    """While a job's parents are looked up, its input functions mark nothing."""

    deep = 0

    def __enter__(self):
        self.deep += 1

    def __exit__(self, *_):
        self.deep -= 1


looking = Looking()
GRAPH = Study(producer)
STORE = Store(study.results)
STATES = States(GRAPH, STORE)


def identity(wildcards, output):
    """The wanted identity of a job's result."""
    return GRAPH.wanted(str(output[0]))


def current(of):
    """An input function without files: forces the job if its result is in place and not the wanted one.

    Evaluated while the job graph is made, so that a dry run lists the job too. A job that a cluster runs decides nothing.
    """

    def mark(wildcards):
        if looking.deep or workflow._dag is None or not workflow.is_main_process:
            return []
        outputs = plain(of.expand_output(dict(wildcards.items()))[0])
        try:
            state = STATES(outputs[0])
        except Exception as error:
            # Raised here, Snakemake would take the file for one that no job writes.
            workflow._dag.forcefiles.update(outputs)
            problem(f"{outputs[0]}: {error}")
            return []
        if state.adopted:
            problem(f"{outputs[0]} was adopted: name it under `keep` (run or rule), or delete it to have it made")
        if state.status == "stale":
            workflow._dag.forcefiles.update(outputs)
            if state.causes:
                tell(f"stale: {outputs[0]}: {'; '.join(state.causes)}")
        elif state.status == "current" and state.code_changed:
            files = ", ".join(state.code_files[:3])
            tell(
                f"stale (code): {outputs[0]}: {files or 'code'}; kept as it is, `rebuild: [{of.name}]` computes it anew"
            )
        return []

    return mark


PROBLEMS = []


def problem(message):
    """Tell what stops a real run before its first job."""
    PROBLEMS.append(message)
    tell(f"error: {message}")


def stop_at_problems():
    if PROBLEMS:
        raise WorkflowError("nothing was run.\n" + "\n".join(f"  {message}" for message in PROBLEMS))


TOLD = set()


def tell(message):
    if message not in TOLD:
        TOLD.add(message)
        print(message, file=sys.stderr)


def restorable(name, wildcards, input):
    """Return whether a job only puts a stored result in place, its parents being what they are now."""
    target = plain(workflow.get_rule(name).expand_output(dict(wildcards.items()))[0])[0]
    if not STORE.has(target):
        return False
    parents = [Path(path) for path in plain(input)]
    if not all(path.exists() for path in parents):
        return False
    seen = (target, tuple(path.stat().st_mtime_ns for path in parents))
    if seen not in RESTORABLE:  # asked for each resource of a job, and again when its parents were made
        RESTORABLE[seen] = States(GRAPH, STORE)(target).stored
    return RESTORABLE[seen]


RESTORABLE = {}


def kept_above(path):
    """Names under `keep` that a result rests on."""
    names = set()
    if not study.keep:
        return []
    for given in {path, *GRAPH.given(path)}:
        names |= {name for name, each in KEPT.items() if each.is_producer(given)}
        names |= {run for run in study.keep if given == f"{study.results}/runs/{run}/model.json"}
    return sorted(names)


for each in MADE.values():
    each.set_input(current=current(each))
    each.set_params(identity=identity)

ROOTS = roots_of(study.site.model_copy(update={"roots": site_of(study)["roots"]}))
STUDY_VALUES = study.model_dump(mode="json", exclude={"site"})
if workflow.is_main_process:
    # Jobs find the driver's study, also those of a cluster that read the Snakefile again later.
    os.environ[running.VARIABLE] = running.file_name(study.results, STUDY_VALUES, DIGESTS)

if dump.VARIABLE in os.environ:
    targets = [
        path
        for target in json.loads(os.environ[dump.TARGETS])
        for path in (plain(workflow.get_rule(target).expand_input({})[0]) if workflow.is_rule(target) else [target])
    ]
    given = {path for target in targets for path in (target, *GRAPH.given(target))}
    dump.write(
        os.environ[dump.VARIABLE],
        GRAPH,
        targets,
        results=study.results,
        roots=ROOTS,
        keep=study.keep,
        kept={path: " ".join(kept_above(path)) for path in sorted(given) if kept_above(path)},
    )


def before_first_job(log):
    stop_at_problems()
    check_before_run()
    running.write(os.environ[running.VARIABLE], STUDY_VALUES, DIGESTS)
