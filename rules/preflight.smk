# Before the first job of a real run: everything that its jobs will need, all problems at once (rollout3d/preflight).
from rollout3d import preflight


def jobs_to_run():
    """The jobs of this run as the preflight reads them."""
    return [
        preflight.Job(
            job.rule.name,
            wildcards=dict(job.wildcards_dict),
            inputs=[str(path) for path in job.input],
            outputs=[str(path) for path in job.output],
            resources={k: v for k, v in job.resources.items() if type(v) in (int, str)},
            environment=environment_of(job.rule),
            prefix=job.conda_env.address if uses_conda() and job.conda_env else None,
            local=bool(job.is_local),
        )
        for job in workflow.dag.needrun_jobs()
    ]


def check_before_run():
    """Stop the run with one list of problems; print notes. `rollout3d preflight` wants the list alone."""
    if workflow.touch:
        return
    jobs = jobs_to_run()
    rendered = study.toyworld.scans.scans_per_dataset if study.toyworld else 0
    findings = preflight.check(preflight.Study(study, RUNS, SITE, rendered), jobs)
    text = preflight.render(findings, len(jobs))
    stops = any(finding.stops for finding in findings)
    asked = os.environ.get(preflight.VARIABLE)
    if asked:
        Path(asked).write_text(json.dumps({"text": text, "stops": stops}))
        raise WorkflowError("only the preflight was asked for")
    if stops:
        raise WorkflowError(text)
    if findings:
        logger.warning(text)
