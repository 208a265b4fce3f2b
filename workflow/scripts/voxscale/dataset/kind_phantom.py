"""The embedded phantom as a dataset, in the layout of ds003020."""

from functools import cached_property
from pathlib import Path

from voxscale.dataset.base import Dataset
from voxscale.errors import UserError

PHANTOM_REGIONS = ("auditory", "sts", "language", "other")  # labels in the tables of voxels
PROSE = Path(__file__).with_name("phantom")  # the text of each of the phantom's stories


class Ds003020Layout(Dataset):
    """Where the files are in ds003020, and in what has its layout; a rule writes or downloads them."""

    @property
    def clocks(self) -> Path:
        return self.root / "derivative/respdict.json"

    def transcript(self, story: str) -> Path:
        return self.root / f"derivative/TextGrids/{story}.TextGrid"

    def audio(self, story: str) -> Path:
        return self.root / f"stimuli/{story}.wav"

    def response(self, subject: str, story: str) -> list[Path]:
        return [self.root / f"derivative/preprocessed_data/{subject}/{story}.hf5"]

    def has_sound(self, story: str) -> bool:
        return True


class PhantomDataset(Ds003020Layout):
    """The embedded phantom; every subject hears every story."""

    kind = "phantom"

    @cached_property
    def _all(self) -> list[str]:
        return sorted(path.stem for path in PROSE.glob("*.txt"))

    def recorded(self, subject: str) -> list[str]:
        return list(self._all)

    def voxels(self, subject: str) -> Path | None:
        return super().voxels(subject) or self.root / f"derivative/voxels/{subject}.tsv"

    @property
    def places_voxels(self) -> bool:
        return True

    @property
    def regions(self) -> set[str] | None:
        return set(PHANTOM_REGIONS)

    def n_trs(self, story: str) -> int | None:
        # A story that has just been added to the config is not yet in the table; a rule writes it again.
        known = self.clocks.exists() and story in self.all_clocks
        return super().n_trs(story) if known else None

    def check(self) -> None:
        if not isinstance(self.config["test_stories"], list):
            raise UserError(
                "config key dataset.test_stories: the phantom's truth is that of one list of test stories; "
                "give a list"
            )
        self.stories  # noqa: B018  checks the roles; a rule writes the files
