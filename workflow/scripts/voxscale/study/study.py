"""A study: its checked config, its models, its dataset and its grid, known before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from voxscale.cortex import NO_PLACES
from voxscale.dataset import Dataset, homologues, read_voxels
from voxscale.errors import UserError, hint
from voxscale.laws import design_lacks
from voxscale.models import OWN, ModelEntry
from voxscale.provenance import hash_config
from voxscale.study.chief_laws import chief_laws, own_laws
from voxscale.study.comparisons import SIDES, compared_cells
from voxscale.study.fixed_width import arm_of
from voxscale.study.grid import Cell, Grid
from voxscale.study.machine import expects_gpu
from voxscale.study.own_features import check_own_files
from voxscale.study.representatives import map_cells, reference_cells
from voxscale.study.site import Cluster
from voxscale.study.timing import timing_notes


@dataclass(frozen=True, eq=False)  # compared by identity, so that what follows from one can be cached
class Study:
    """Everything the rules ask of a study.

    Args:
        config: complete, see `voxscale.study.config.complete`.
        registry: model entries by slug.
        dataset: where the stories and scans are.
        left_out: controls that the data do not allow, a sentence each.
        gpu: whether jobs find a GPU where the config does not name a device.
        cluster: what a cluster is given with each kind of job; not in `config`, so that no finished job
            depends on it.
        container: the image in which jobs run with `--sdm apptainer`, if there is one.
        missing: what a partial study lacks and why, a sentence each; empty for a whole one.
    """

    config: Mapping[str, Any]
    registry: Mapping[str, ModelEntry]
    dataset: Dataset
    left_out: Sequence[str] = ()
    gpu: bool = field(default_factory=expects_gpu)
    cluster: Cluster = field(default_factory=Cluster)
    container: str | None = None
    missing: Sequence[str] = ()

    def picked(self, *keys: str) -> dict[str, Any]:
        """Values of config keys (`scoring.fdr`), by the last part of their name, or of whole blocks."""
        found: dict[str, Any] = {}
        for block, _, key in (each.partition(".") for each in keys):
            found |= {key: self.config[block][key]} if key else self.config[block]
        return found

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects in the config's order, or the mean of them that is fitted in their place."""
        return list(self.dataset.targets)

    @cached_property
    def grid(self) -> Grid:
        """The cells of all sweeps."""
        stories = {subject: self.dataset.n_training(subject) for subject in self.subjects}
        return Grid(self.config["sweeps"], self.registry, stories)

    @cached_property
    def stories(self) -> list[str]:
        """Every story that any subject heard and the study uses."""
        return self.dataset.stories

    def heard(self, subject: str) -> list[str]:
        """Stories the study uses of one subject, training first."""
        return self.dataset.heard(subject)

    def response_sources(self, subject: str) -> dict[str, list[str]]:
        """Response files of each of a subject's stories."""
        return {
            story: [str(path) for path in self.dataset.response(subject, story)]
            for story in self.heard(subject)
        }

    def voxel_tables(self) -> dict[str, str]:
        """The table of voxels of each subject that has one."""
        found = {subject: self.dataset.voxels(subject) for subject in self.subjects}
        return {subject: str(path) for subject, path in found.items() if path}

    def chosen_voxels(self, subject: str) -> str | list[str]:
        """The subject's table of voxels if the user wrote it: only such a table selects the voxels to fit."""
        return [] if self.dataset.places_voxels else self.voxel_tables().get(subject, [])

    @cached_property
    def homologues(self) -> dict[str, tuple[str, str]]:
        """Regions that both sides have, by the user's tables of voxels."""
        tables = filter(None, map(self.chosen_voxels, self.subjects))
        # A large table is split into its cells only if it names such a region.
        if not any(b"_left" in Path(table).read_bytes() for table in tables if Path(table).is_file()):
            return {}
        return homologues(self.dataset.regions or ())

    def voxel_choice(self, subject: str) -> str | None:
        """Digest of the voxels that the user's table selects, without labels of regions; None for all."""
        table = read_voxels(self.chosen_voxels(subject) or None)
        kept = {voxel: row["keep"] for voxel, row in table.items()}
        return None if set(kept.values()) <= {None} else hash_config(kept)

    @property
    def notes(self) -> list[str]:
        """Limitations of this study that the report must state."""
        without = self.dataset.kind == "ds003020" and not self.voxel_tables()
        return [
            *self.left_out,
            *([NO_PLACES] if without else []),
            *self.dataset.notes,
            *timing_notes(self.config),
            *self._fold_notes,
            *self.cautions,
            *self._ceiling_notes,
            *self._design_notes,
        ]

    @property
    def _design_notes(self) -> list[str]:
        """A joint law that is too small for a statement on the next step."""
        sizes: dict[tuple[str, str], set[int]] = {}
        for cell in self.joint_cells:
            sizes.setdefault((cell.model, cell.subject), set()).add(cell.n_train)
        if not sizes:
            return []
        lacks = design_lacks(len({model for model, _ in sizes}), min(map(len, sizes.values())))
        sweep = f"config key joint.sweep: {self.config['joint']['sweep']} has"
        return [f"{sweep} {lacks}; no next step is advised."] if lacks else []

    @cached_property
    def ceiling_kind(self) -> str:
        """Where noise ceilings come from: `repeats` of test stories, several `subjects`, or `none`."""
        kind = self.config["ceiling"]["kind"]
        if kind != "auto":
            return kind
        return "repeats" if any(map(self.dataset.has_repeats, self.subjects)) else "none"

    @cached_property
    def shared_test_stories(self) -> list[str]:
        """Test stories of all subjects, of which a ceiling across subjects is."""
        tested = [self.dataset.test(subject) for subject in self.subjects]
        return [story for story in tested[0] if all(story in mine for mine in tested)]

    @property
    def _ceiling_notes(self) -> list[str]:
        if self.ceiling_kind != "none":
            return []
        asked = self.config["ceiling"]["kind"] == "none"
        why = "config key ceiling.kind: none" if asked else "no test story was heard twice"
        return [f"There is no noise ceiling ({why}): no CCnorm, no room left, no reliable voxels."]

    @property
    def crossed(self) -> bool:
        """Whether stories are held out in turn, in several folds."""
        return any(len(self.dataset.folds(subject)) > 1 for subject in self.subjects)

    @property
    def cautions(self) -> list[str]:
        """Those of the notes because of which less can be concluded."""
        folds = {subject: len(self.dataset.folds(subject)) for subject in self.subjects}
        if not self.crossed:
            return []
        numbers = ", ".join(f"{subject} {n}" for subject, n in folds.items())
        return [
            f"Stories are tested on in turn, in folds ({numbers}); a score is over all of them. Alphas are "
            "chosen inside the training stories of each fold, but layers and significant voxels by the mean "
            "of all folds, which has every story in it, and so on the test stories. Scores of the best layer "
            "of each voxel are too high, as if chosen by the test score; those of one best layer, and of "
            "significant voxels, less so. Rely on layers fixed beforehand, and on all voxels or regions."
        ]

    @property
    def _fold_notes(self) -> list[str]:
        folds = self.config["encoding"]["folds"]
        sizes = self.grid.stories
        fewer = ", ".join(f"{subject} {n}" for subject, n in sizes.items() if n < folds["n"])
        if folds["kind"] != "stories" or not fewer:
            return []
        return [f"{folds['n']} folds (encoding.folds.n), fewer training stories ({fewer}): each is a fold."]

    def examine(self) -> list[str]:
        """All that the user should know before the first job: `notes`, and what the files of the data hold.

        Raises:
            UserError: a file of the data cannot be used.
        """
        found = self.dataset.examine()
        found += check_own_files(self.registry, self.models_of(*OWN), self.dataset)
        return [*self.notes, *found]

    def sound_inputs(self, stories: Sequence[str]) -> list[str]:
        """Files that must exist before the sounds of stories are read."""
        needed = (path for story in stories for path in self.dataset.audio_inputs(story))
        return list(dict.fromkeys(str(path) for path in needed))

    def sounds(self, stories: Sequence[str]) -> list[str]:
        """The sound of each of some stories."""
        return [str(self.dataset.audio(story)) for story in stories]

    def hears(self, model: str) -> bool:
        """Whether a model's features are computed from sound."""
        entry = self.registry[model]
        return entry.hears or bool(entry.source and self.hears(entry.source))

    @cached_property
    def any_hears(self) -> bool:
        """Whether any used model's features are computed from sound."""
        return any(self.hears(model) for model in self.grid.used_models)

    @property
    def features_on_gpu(self) -> bool:
        """Whether networks run on a GPU."""
        device = self.config["features"]["device"]
        return self.gpu if device == "auto" else device != "cpu"

    def models_of(self, *modalities: str) -> list[str]:
        """Slugs of the used models of these modalities."""
        return self.grid.models_of(*modalities)

    @cached_property
    def selections(self) -> dict[str, list[Cell]]:
        """Cells that are gathered together: all, those of a sweep, those of the brain maps."""
        chosen = {sweep: self.grid.cells(sweep) for sweep in self.config["sweeps"]}
        everything = sorted([*self.grid.cells(), *self.banded_cells])  # in whatever order the sweeps are
        compared = {f"comparison-{name}": self._compared(name) for name in self.config["comparisons"]}
        return {"all": everything, "maps": self.map_cells, **chosen, **compared}

    def comparison(self, name: str) -> dict[str, tuple[Cell, Cell]]:
        """The two fits of a comparison in each subject that has both."""
        return compared_cells(self.grid, name, self.config["comparisons"][name])

    def _compared(self, name: str) -> list[Cell]:
        """Cells of a comparison that are of this study, not of another whose results are named."""
        own = [i for i, side in enumerate(SIDES) if not self.config["comparisons"][name][side]["results"]]
        return list(dict.fromkeys(both[i] for both in self.comparison(name).values() for i in own))

    def bands(self, banded: str) -> list[dict[str, Any]]:
        """Model and layer of each band of a banded model.

        Raises:
            UserError: a band's model is in no sweep.
        """
        where, found = f"banded.{banded}.bands", []
        for band in self.config["banded"][banded]["bands"]:
            (layer,) = self.grid.layers(band["model"], band["layer"], where)
            self._require_used(band["model"], where)
            found.append({"model": band["model"], "layer": layer})
        return found

    def _require_used(self, model: str, where: str) -> None:
        if model not in (used := self.grid.used_models):
            raise UserError(
                f"config key {where}: {model} is in no sweep; add it to one ({hint(model, used)})"
            )

    def banded_cell(self, banded: str, subject: str, n_train: str | int) -> Cell:
        """The cell under which a banded model's scores are kept."""
        return Cell(f"banded-{banded}", 0, subject, int(n_train))

    @cached_property
    def banded_cells(self) -> list[Cell]:
        """Cells of all banded models: every subject, all its training stories."""
        names = [name for name in self.config["banded"] if self.bands(name)]
        sizes = self.grid.stories
        return [self.banded_cell(name, subject, sizes[subject]) for name in names for subject in sizes]

    @cached_property
    def map_cells(self) -> list[Cell]:
        """The models of the brain maps, each at one layer and all training stories of a subject."""
        return map_cells(self.grid, self.config["maps"])

    @cached_property
    def reference_cells(self) -> list[Cell]:
        """Cells whose significant voxels are the study's."""
        return reference_cells(self.grid, self.map_cells, self.config["scoring"]["significant_in"])

    def own_files(self, model: str) -> list[dict[int | None, str]]:
        """Of each story the user's own files of its features, by layer; see `ModelEntry.story_files`."""
        entry = self.registry[model]
        return [entry.story_files(story) for story in self.stories]

    def local_weights(self, model: str) -> list[str]:
        """Files of a model that are the user's own: when they change, its card does."""
        entry = self.registry[model]
        if entry.modality in OWN:
            return list(dict.fromkeys(path for files in self.own_files(model) for path in files.values()))
        if entry.path is None:
            return []
        folder = Path(entry.path)
        files = [folder / entry.gguf_file] if entry.gguf_file else folder.glob("*.*")
        return sorted(str(path) for path in files if path.is_file())

    def by_size(self, cells: Sequence[Cell]) -> list[str]:
        """Models of cells, the smallest first."""
        used = dict.fromkeys(cell.model for cell in cells)
        return sorted(
            used, key=lambda model: (self.registry[model].width or 0, self.registry[model].n_layers)
        )

    @cached_property
    def joint_cells(self) -> list[Cell]:
        """Cells of the joint law."""
        sweep = self.config["joint"].get("sweep")
        return self.grid.cells(sweep, "joint.sweep") if sweep else []

    def law_models(self, law: str) -> list[str]:
        """Models of a law."""
        return list(dict.fromkeys(cell.model for cell in self.law_cells(law)))

    def law_cells(self, law: str) -> list[Cell]:
        """Cells whose scores a law is fitted to."""
        return self.grid.cells(self.config["laws"][law]["sweep"], f"laws.{law}.sweep")

    def stacking_cells(self, subject: str) -> list[Cell]:
        """Member cells of one subject's stack, at its full training size."""
        size = self.grid.stories[subject]
        cells = []
        for member in self.config["stacking"]["members"]:
            (layer,) = self.grid.layers(member["model"], member["layer"], "stacking.members")
            self._require_used(member["model"], "stacking.members")
            cells.append(Cell(member["model"], layer, subject, size))
        return cells

    @cached_property
    def training_stories(self) -> list[str]:
        """Stories whose features components are fitted to: those that no subject is tested on.

        With folds, in which stories are tested on in turn, all of them: components see no responses.
        """
        if self.crossed:
            return self.stories
        tested = {story for subject in self.subjects for story in self.dataset.test(subject)}
        return [story for story in self.stories if story not in tested] or self.stories

    def derived_layers(self, model: str) -> list[int]:
        """Layers of a derived model that any sweep asks for."""
        return self._layers.get(model, [])

    @cached_property
    def _layers(self) -> dict[str, list[int]]:
        found: dict[str, set[int]] = {}
        for cell in self.grid.cells():
            found.setdefault(cell.model, set()).add(cell.layer)
        return {model: sorted(layers) for model, layers in found.items()}

    @cached_property
    def chief_laws(self) -> dict[str, str]:
        """The laws that figures and report show: of language models, of speech models, of training data."""
        return chief_laws(self.config, self.registry)

    @property
    def own_laws(self) -> list[str]:
        """Laws over columns of the user's own, or of own features."""
        return own_laws(self.config, self.registry)

    @property
    def plateau_arms(self) -> dict[str, str]:
        """Laws of the plateau's figure, and what to call each; none without a law of language models."""
        law, width = self.chief_laws.get("language"), self.config["plateau"].get("width")
        if law is None:
            return {}
        return {law: "all features"} | ({arm_of(law): f"{width} components"} if width else {})

    def cell(self, **wildcards: str) -> Cell:
        """The cell that a job's wildcards name."""
        return Cell(
            wildcards["model"], int(wildcards["layer"]), wildcards["subject"], int(wildcards["n_train"])
        )

    @property
    def published_models(self) -> list[str]:
        """Used models that are not made here: from the hub or from a folder."""
        networks = self.models_of("language", "speech")
        return [model for model in networks if self.registry[model].build is None]

    @cached_property
    def untrained(self) -> list[str]:
        """Models whose random weights make them controls."""
        return [model for model in self.grid.used_models if self.registry[model].untrained]

    @property
    def profile_sweep(self) -> str | None:
        """The sweep whose layers are profiled."""
        return self.config["profiles"].get("sweep")

    @cached_property
    def profile_cells(self) -> list[Cell]:
        """Cells of the layer profile."""
        return self.grid.cells(self.profile_sweep, "profiles.sweep") if self.profile_sweep else []
