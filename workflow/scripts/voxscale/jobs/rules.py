"""Every rule's record, by stage and by name, and the path of every kind of file."""

from voxscale.jobs import analysis, data, drawing, features, fits
from voxscale.jobs.record import Rule

# In the order of the work. Jobs of a stage write into the same folders: a user thinks of disk by stage.
STAGES: dict[str, tuple[Rule, ...]] = {
    "data": data.RULES,
    "features": features.RULES,
    "fits": fits.RULES,
    "analysis": analysis.RULES,
    "figures, report": drawing.RULES,
}
RESULTS = ("fits", "analysis", "figures, report")  # stages whose files are results of a study
RULES: dict[str, Rule] = {rule.name: rule for rules in STAGES.values() for rule in rules}
PARTIAL = "results/partial"  # what is gathered of a study that lacks a part
# Rules of one job for all models and subjects, which a missing fit of one model stops.
GATHERED = tuple(
    rule.name
    for stage in ("analysis", "figures, report")
    for rule in STAGES[stage]
    if "{subject}" not in rule.output and rule.name != "compare_resources"
)


def record_of(rule: str) -> Rule:
    """The record of a rule.

    Raises:
        LookupError: it has none.
    """
    if rule not in RULES:
        raise LookupError(f"rule {rule} has no record; add one to a file of voxscale/jobs")
    return RULES[rule]


def _paths() -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in RULES.values():
        for name, path in rule.outputs.items():
            if found.setdefault(name, path) != path:
                raise ValueError(f"rule {rule.name}: output {name} is also {found[name]}; rename one of them")
    return found


# Pattern of the path of each kind of file, by the name that its rule's record gives it.
PATHS = _paths()


def gather_apart() -> None:
    """From now on, let this process gather into `PARTIAL`, where nothing passes for the whole study."""
    RULES.update({name: RULES[name].moved(PARTIAL) for name in GATHERED})
    PATHS.update(_paths())


def require_schemas() -> None:
    """Look for the schema of every table that a rule makes.

    Raises:
        LookupError: a table has none.
    """
    from voxscale.io import SCHEMAS

    for rule in RULES.values():
        for table, schema in rule.tables().items():
            if schema not in SCHEMAS:
                raise LookupError(
                    f"rule {rule.name}: table {table} has no schema; add {schema} to voxscale/io/schemas.py"
                )
