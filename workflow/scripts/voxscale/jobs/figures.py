"""The figures of a study, each an entry of `figures.yaml`: rule, plan and both reports follow from it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxscale.jobs import analysis, data
from voxscale.jobs.record import Wildcards
from voxscale.study import Study, law_drawn, read_yaml

_MAKERS = {output: rule for rule in (*data.RULES, *analysis.RULES) for output in rule.outputs}


@dataclass(frozen=True)
class Figure:
    """One figure, of the files `results/figures/<name>.png`, `.pdf` and `.csv`; see `figures.yaml`."""

    name: str
    draw: str
    category: str
    tables: Mapping[str, str]
    caption: str
    note: str = ""
    law: str = ""
    per: str = ""
    ceiling: str = ""
    entry: str = ""
    places: bool = False

    @property
    def text(self) -> str:
        """Its whole caption."""
        return f"{self.caption} {self.note}".strip()

    def inputs(self, study: Study) -> dict[str, Sequence[Wildcards]]:
        """Wildcards of every file of each table that it is drawn from."""
        return {table: self._files(study, table, which) for table, which in self.tables.items()}

    def _files(self, study: Study, table: str, which: str) -> Sequence[Wildcards]:
        law = self.entry or study.chief_laws.get(self.law)
        match which:
            case "each":
                return list(_MAKERS[table].jobs(study))
            case "entry":
                return [{self.name.removesuffix(f"_{self.entry}"): self.entry}]
            case "law":
                return [{"law": law}] if law else []
            case "sweep":
                return [{"selection": study.config["laws"][law]["sweep"]}] if law else []
            case "arms":
                return [{"law": arm} for arm in study.plateau_arms]
        return [{"selection": which}]

    def options(self, study: Study) -> dict[str, Any]:
        """Further arguments of the function that draws it."""
        which = self.entry or study.chief_laws.get(self.law, "")
        return _OPTIONS[self.draw](study, which) if self.draw in _OPTIONS else {}


_OPTIONS: dict[str, Callable[[Study, str], dict[str, Any]]] = {
    "scaling.draw_law": lambda study, law: {
        "law": law,
        "interval": study.config["bootstrap"]["interval"],
        "voxel_sets": law_drawn(study, law),
        **{key: value for key, value in study.config["laws"][law].items() if key == "x_label"},
    },
    "maps.draw_score_maps": lambda study, law: {"fdr": study.config["scoring"]["fdr"]},
    "checks.draw_ceiling_drift": lambda study, law: {"interval": study.config["bootstrap"]["interval"]},
    "layers.draw_layers": lambda study, law: {"order": study.by_size(study.profile_cells)},
    "outlook.draw_plateau": lambda study, law: {"arms": study.plateau_arms},
    "comparisons.draw_comparison": lambda study, name: {
        "names": [_fit_name(study.config["comparisons"][name][side]) for side in ("a", "b")]
    },
    "checks.draw_controls": lambda study, law: {"controls": study.untrained},
    "checks.draw_artifact": lambda study, law: {"cut_s": study.config["scoring"]["skip_s"]},
}
_ENTRIES: dict[str, Callable[[Study], Iterable[str]]] = {
    "comparisons": lambda study: study.config["comparisons"],
    "own_laws": lambda study: study.own_laws,
}
FIGURES = tuple(
    Figure(name, **facts) for name, facts in read_yaml(Path(__file__).with_name("figures.yaml")).items()
)


def _fit_name(spec: Mapping[str, Any]) -> str:
    """A fit of a comparison in words."""
    layer, size = spec["layer"], spec["n_train"]
    if isinstance(layer, Mapping):
        layer = f"depth {layer['depth']:g}"
    else:
        layer = "last layer" if layer == "last" else f"layer {layer}"
    rest = [f"{size} stories" if size != "all" else "", spec["results"] or ""]
    return ", ".join([spec["model"], layer, *filter(None, rest)])


def figures_of(study: Study) -> dict[str, Figure]:
    """The figures that a study has the tables for, by name, in the report's order."""
    figures: list[Figure] = []
    for figure in FIGURES:
        entries = _ENTRIES[figure.per](study) if figure.per else ()
        named = [replace(figure, name=f"{figure.name}_{entry}", entry=entry) for entry in entries]
        figures += named if figure.per else [figure]
    figures = [figure for figure in figures if figure.ceiling in ("", study.ceiling_kind)]
    left_out = study.config.get("partial", {}).get("figures", ())
    drawn = (figure for figure in figures if figure.name not in left_out)
    found = (figure for figure in drawn if not figure.places or study.voxel_tables())
    return {figure.name: figure for figure in found if all(figure.inputs(study).values())}
