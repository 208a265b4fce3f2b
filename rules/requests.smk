# What jobs ask for: memory, minutes, cores, GPUs, and where a cluster puts them. No rules.


@cache
def placement():
    """Needs of jobs, within what the cluster has where this run submits to SLURM."""
    submits = workflow.is_main_process and submits_to_slurm(workflow)
    # ASSUME: Snakemake 9.27 keeps what a profile says of a resource as `raw`.
    of_profile = dict(workflow.resource_settings.default_resources or {})
    partition = getattr(of_profile.get("slurm_partition"), "raw", "")
    return Placement(jobs, submits, str(partition).strip("'\""))


def asked(what):
    """A resource of jobs; Snakemake shows a mistake in the config as such only as its own error."""

    def ask(rule, wildcards, *attempt):
        try:
            return what(placement(), Job(rule, dict(wildcards)), *attempt)
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return ask


def needs(rule):
    """Memory, minutes, disk and GPUs of a rule's jobs, and where a cluster puts them; a retry gets more."""
    record = record_of(rule)

    def ask(what):
        of = asked(what)
        return lambda wildcards, attempt: of(rule, wildcards, attempt)

    placed = study.cluster.resources(record.kind(study))
    if record.gpu(study):
        gpus = ask(lambda placed, job, _: placed.need(job).gpus)
        if name := placed.get("gres"):
            placed["gres"] = (
                lambda wildcards, attempt: f"{name}:{gpus(wildcards, attempt)}"
            )
        else:
            placed["gpu"] = gpus
    # A job on its node has its allocation already: it asks for nothing.
    at_submission = {
        "mem_mb": ask(Placement.memory_mb),
        "runtime": ask(Placement.minutes),
        "disk_mb": ask(lambda placed, job, _: int(placed.need(job).disk_mb) + 1),
    }
    return placed | (at_submission if workflow.is_main_process else {})


def threads(rule):
    """Cores that a rule's jobs are worth; on its node, at most those that the job was given."""
    given = None if workflow.is_main_process else os.environ.get("SLURM_CPUS_PER_TASK")
    most, of = int(given) if given else math.inf, asked(Placement.threads)
    return lambda wildcards: min(most, of(rule, wildcards))
