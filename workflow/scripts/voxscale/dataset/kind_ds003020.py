"""ds003020: its files by manifest, so that a study is planned and priced without touching the data."""

from functools import cached_property
from pathlib import Path
from typing import Any

from voxscale.cortex import pycortex_installed, read_mask, transform_of
from voxscale.dataset.clock import Clocks, read_clocks
from voxscale.dataset.geometry import Geometry, Volume
from voxscale.dataset.kind_phantom import Ds003020Layout
from voxscale.dataset.manifest import PublishedFile, read_manifest
from voxscale.errors import UserError
from voxscale.io import read_json

TABLES = Path(__file__).with_name("ds003020")


class Ds003020(Ds003020Layout):
    """ds003020 as OpenNeuro publishes it, downloaded in parts: transcripts, sounds, each subject.

    A rule waits for the mark of a part, not for its files: they may lie in a datalad clone or on a read-only
    disk, and no changed script should make the workflow delete or download 140 GB again.
    """

    kind = "ds003020"
    published_defects = TABLES / "defects.tsv"

    @cached_property
    def manifest(self) -> dict[str, PublishedFile]:
        """Published files by path."""
        return read_manifest(TABLES / "manifest.tsv")

    @cached_property
    def _published(self) -> dict[str, list[str]]:
        known = list(read_json(TABLES / "respdict.json"))  # in the order of the sessions
        found: dict[str, list[str]] = {}
        for path in map(Path, self.manifest):
            if path.match("derivative/preprocessed_data/*/*.hf5"):
                found.setdefault(path.parent.name, []).append(path.stem)
        return {subject: sorted(stories, key=known.index) for subject, stories in found.items()}

    def recorded(self, subject: str) -> list[str]:
        if subject not in self._published:
            known = ", ".join(sorted(self._published))
            raise UserError(f"config key dataset.subjects: ds003020 has no {subject}; it has {known}")
        return list(self._published[subject])

    @cached_property
    def all_clocks(self) -> Clocks:
        return read_clocks(TABLES / "respdict.json", self.tr_s, self.trim)

    @property
    def pycortex_db(self) -> Path:
        """The dataset's pycortex database."""
        return self.root / "derivative/pycortex-db"

    @property
    def transforms(self) -> Path:
        """JSON file: subject -> name of its pycortex transform."""
        return TABLES / "subject_xfms.json"

    def places(self, subject: str) -> dict[str, Any] | None:
        if not pycortex_installed() or subject not in read_json(self.transforms):
            return None
        return {
            "database": str(self.pycortex_db),
            "subject": subject,
            "transforms": str(self.transforms),
        }

    def place_inputs(self, subject: str) -> list[Path]:
        return [self.mark(f"pycortex-{subject}"), self.transforms]

    @property
    def regions(self) -> set[str] | None:
        return super().regions if self.config.get("voxels") else None

    def geometry(self, subject: str) -> Geometry:
        # The voxels are those of a mask of pycortex, which counts z first and x last.
        transform = transform_of(self.transforms, subject)
        mask = read_mask(self.pycortex_db, subject, transform, self._n_columns(subject))
        return Volume("", *mask, order="F")

    def geometry_inputs(self, subject: str) -> list[Path]:
        return [*self.response_inputs(subject), self.mark(f"pycortex-{subject}")]

    @property
    def parts(self) -> list[str]:
        """What is downloaded as a whole: `transcripts`, `sounds`, each subject, and `pycortex-<subject>`."""
        surfaces = (f"pycortex-{subject}" for subject in self.subjects)
        return ["transcripts", "sounds", *self.subjects, *surfaces]

    def mark(self, part: str) -> Path:
        """The file that says `part` is complete and checked."""
        return self.markers / f"{part}.json"

    def needed(self, part: str) -> list[PublishedFile]:
        """Published files that the config's subjects and stories need of `part`.

        Raises:
            UserError: the part is unknown, or a needed file was never published.
        """
        root = self.root
        if part == "transcripts":
            paths = [self.transcript(story) for story in self.stories] + [self.clocks]
        elif part == "sounds":
            paths = [self.audio(story) for story in self.stories]
        elif part in self.subjects:
            paths = self.responses(part)
        elif part in self.parts:
            folder = f"derivative/pycortex-db/{part.removeprefix('pycortex-')}/"
            paths = [root / path for path in self.manifest if path.startswith(folder)]
        else:
            raise UserError(f"{part}: is not a part of the dataset; its parts are {', '.join(self.parts)}")
        names = [path.relative_to(root).as_posix() for path in paths]
        if unknown := [name for name in names if name not in self.manifest]:
            raise UserError(f"{unknown[0]}: is not in ds003020's manifest; leave its story out of the config")
        return [self.manifest[name] for name in names]

    def story_inputs(self, story: str) -> list[Path]:
        return [self.mark("transcripts")]

    def audio_inputs(self, story: str) -> list[Path]:
        return [self.mark("sounds")]

    def response_inputs(self, subject: str) -> list[Path]:
        return [self.mark("transcripts"), self.mark(subject)]

    def check(self) -> None:
        for story in self.stories:
            self.clock(story)
        for part in self.parts:
            self.needed(part)
        self.check_voxels()
        if self.root.exists() and not self.root.is_dir():
            raise UserError(
                f"config key dataset.root: {self.root} is a file; give a folder, new or with a copy"
            )
