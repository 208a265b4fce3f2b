# What is looked at before the first job, and what a run says at its end. No rules.


def of_rule(name, found):
    """Those of some jobs that are a rule's; a workflow that uses this one as a module may have renamed it."""
    known = getattr(rules, name).rule if rules.has(name) else None
    return [job for job in found if job.rule is known]


def to_run(dag, name):
    """Jobs of a rule that are to run."""
    return of_rule(name, dag.needrun_jobs())


def stop(*mistakes):
    """End the run with a line for each mistake, which names the user's file where it is about a key."""
    files = [] if IS_MODULE else [str(path) for path in workflow.configfiles]
    sys.exit(
        "\n".join(f"ERROR {with_file(str(mistake), files)}" for mistake in mistakes)
    )


def models_at_hand(dag):
    """End the run in one line, before its first job, if a model cannot be had or takes too few tokens."""
    wanted = [
        study.registry[job.wildcards.model] for job in to_run(dag, "prepare_model")
    ]
    reading = [job.wildcards.model for job in to_run(dag, "extract_language_features")]
    try:
        require_models(wanted)
        require_contexts(study, reading)
    except UserError as error:
        stop(error)


def mark_reports(dag):
    """Mark the report that this run is to make again: it is out of date until then, also if the run fails."""
    if to_run(dag, "write_report"):
        began = time.strftime("%d %B %Y, %H:%M", time.localtime(BEGAN))
        mark_page(
            BASE / PATHS["report"],
            f"Out of date. A run that began on {began} makes this report again; "
            "if it has not replaced it, it failed or still goes on: see voxscale status.",
        )


def say_farewell():
    """Name the report, if this run was asked for it; a report of a part of the study is then superseded."""
    made = bool(of_rule("write_report", workflow.dag.jobs))
    if made and not study.missing:
        mark_page(
            BASE / PARTIAL / "report.html",
            "Superseded. The report of the whole study is there: ../report.html",
        )
    print(farewell(BASE / PATHS["report"], made), file=sys.stderr)


def data_at_hand():
    """Say before the first job what the user should know of the study, or end the run if the data cannot be used."""
    try:
        notes = "".join(f"WARNING {note}\n" for note in study.examine())
    except UserError as error:
        stop(error)
    print(notes, end="", file=sys.stderr)
    EXAMINED.parent.mkdir(parents=True, exist_ok=True)
    EXAMINED.write_text(notes)


def devices_at_hand(dag):
    """End a run on this machine in one line, before its first job, if it lacks a device of the config."""
    users = [record.name for record in RULES.values() if record.means]
    if workflow.local_exec and any(to_run(dag, name) for name in users):
        try:
            require_devices(study.config)
        except UserError as error:
            stop(error)


def image_at_hand():
    """Say before the first job with `--sdm apptainer` if no image is named, or end the run if it is not there."""
    if IN_CONTAINER:
        try:
            require_image(study)
        except UserError as error:
            stop(error)
        if not study.container:
            print(f"WARNING {NO_IMAGE}", file=sys.stderr)


def flatmaps_at_hand(dag):
    """End the run in one line, before its first job, if it draws flatmaps and pycortex is not installed."""
    if to_run(dag, "draw_flatmap") and not pycortex_installed():
        sys.exit(f"ERROR {NOT_INSTALLED}")


def places_at_hand(dag):
    """End the run in one line, before its first job, if it exports images of voxels whose places are not known."""
    subjects = {job.wildcards.subject for job in to_run(dag, "export_images")}
    try:
        for subject in sorted(subjects):
            if all(path.exists() for path in study.dataset.geometry_inputs(subject)):
                study.dataset.require_geometry(subject)
    except UserError as error:
        stop(error)


def names():
    """The name here of each of Snakemake's rules; a workflow that uses this one as a module may rename them."""
    return {getattr(rules, name).rule: name for name in RULES if rules.has(name)}


def cluster_key(job, key):
    """Where a key of the cluster's jobs is written, for one of Snakemake's jobs."""
    # A workflow that uses this one as a module has rules of its own.
    name = names().get(job.rule)
    return study.cluster.place(record_of(name).kind(study) if name else "all", key)


def cluster_at_hand(dag):
    """End a run on SLURM in one line, before its first job, if a job asks for more than any node has."""
    if not submits_to_slurm(workflow):
        return
    known = names()
    needed = [
        job for job in dag.needrun_jobs() if job.rule in known and not job.is_local
    ]
    requests = (
        Request(
            Job(known[job.rule], dict(job.wildcards_dict)),
            str(job.resources.get("slurm_partition", "")),
            job.resources.get("mem_mb", 0),
            gpus_of(job.resources),
            job.threads,
            job.resources.get("runtime", 0),
        )
        for job in needed
    )
    try:
        for kind in {record_of(known[job.rule]).kind(study) for job in needed}:
            placement().limits(kind)  # whether there is such a partition
        found = placement().refusals(requests)
    except UserError as error:
        found = [error]
    if found:
        stop(*found)


def gpus_of(resources):
    """GPUs that a job asks for, by number or by name."""
    return gpus_in(str(resources.get("gres", ""))) or resources.get("gpu", 0)
