"""The models of a study, before they are downloaded: size, layers, and where each comes from."""

from voxscale.jobs.jobs import Job, Jobs
from voxscale.jobs.text import size, table
from voxscale.models import OWN, ModelEntry


def _origin(entry: ModelEntry) -> str:
    if entry.source:
        return f"reduced from {entry.source}"
    if entry.build:
        return "built here, random weights"
    if entry.modality in OWN:
        return f"your own {entry.path}"
    if entry.path:
        return f"folder {entry.path}"
    if entry.hub:
        weights = ", random weights" if entry.untrained else ""
        licence = ", licence to accept" if entry.gated else ""
        return f"hub {entry.hub}@{entry.revision}{weights}{licence}"
    return "computed here"


def _row(jobs: Jobs, model: str) -> tuple[object, ...]:
    entry, width = jobs.study.registry[model], jobs.sizes.width(model)
    parameters = f"{jobs.sizes.parameters(model) / 1e6:,.1f} M" if entry.has_network else "-"
    disk = size(jobs.need(Job("prepare_model", {"model": model})).disk_mb)
    return model, entry.modality, parameters, entry.n_layers or "-", width, disk, _origin(entry)


def describe_models(jobs: Jobs) -> str:
    """One line for each model; parameters are estimated to a few percent, the model's card counts them."""
    header = ("model", "modality", "parameters", "layers", "width", "disk", "from")
    rows = (_row(jobs, model) for model in jobs.study.grid.used_models)
    return "\n".join(table(header, rows, words=("modality", "from")))
