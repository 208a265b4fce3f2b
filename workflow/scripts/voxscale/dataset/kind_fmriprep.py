"""fMRIPrep's derivatives as they come, cleaned by its own tables of confounds."""

import statistics
from functools import cached_property
from pathlib import Path
from typing import Any

from voxscale.dataset.bids import sidecar_seconds, sidecar_value
from voxscale.dataset.confounds import confounds_table, n_dummy_scans
from voxscale.dataset.images import Reading, check_confounds
from voxscale.dataset.kind_bids import BidsDataset
from voxscale.dataset.kind_own import some_of
from voxscale.errors import UserError

_SAME_START = 0.1  # of a TR


class FmriprepDataset(BidsDataset):
    """fMRIPrep's output folder; stories and their words as for `bids`.

    sub-<subject>/[ses-*/]func/ has the images of each run, masks (`desc-brain_mask`), their sidecars and
    the run's table of confounds (`desc-confounds_timeseries.tsv`, formerly `desc-confounds_regressors.tsv`).
    """

    kind = "fmriprep"

    @property
    def _folder(self) -> Path:
        return self.root / self._block["folder"]

    def _wanted(self, image: Path) -> dict[str, str | None]:
        volume = image.name.endswith(("_bold.nii", "_bold.nii.gz"))
        return super()._wanted(image) | ({"desc": "preproc"} if volume else {})

    @property
    def _mask_remedy(self) -> str:
        own = super()._mask_remedy
        return own if self._block.get("mask") else f"get the brain mask of each run, or {own}"

    def _masks(self, subject: str) -> list[Path]:
        if self._block.get("mask"):
            return super()._masks(subject)
        # Of stories that are left out, too: which are used must not change what a column is.
        stories = [story for story in self.recorded(subject) if story in self.all_clocks]
        images = [path for story in stories for path in self.response(subject, story)]
        return [path.with_name(path.name.replace("desc-preproc_bold", "desc-brain_mask")) for path in images]

    @cached_property
    def _tables(self) -> dict[str, list[Path]]:
        """Tables of confounds of each subject's runs."""
        found = {subject: map(confounds_table, self.responses(subject)) for subject in self.subjects}
        return {subject: list(dict.fromkeys(tables)) for subject, tables in found.items()}

    @property
    def _reads_tables(self) -> bool:
        return bool(self._block["confounds"]["strategy"]) or self._block["dummy_scans"] == "auto"

    def companions(self, subject: str) -> list[Path]:
        tables = self._tables[subject] if self._reads_tables else []
        about = [table.with_suffix(".json") for table in tables]
        return [*super().companions(subject), *tables, *(path for path in about if path.exists())]

    def reading(self, subject: str) -> Reading:
        return self._readings[subject]

    @property
    def _confounds(self) -> dict[str, Any]:
        """Arguments of nilearn's `load_confounds`; those that no strategy takes change nothing."""
        given = self._block["confounds"]
        taken = ["strategy", *given["strategy"], *(["n_compcor"] if "compcor" in given["strategy"] else [])]
        return {key: value for key, value in given.items() if key in taken}

    @cached_property
    def _readings(self) -> dict[str, Reading]:
        cleaning = {key: self._block[key] for key in ("detrend", "high_pass_hz")}
        cleaning |= {"confounds": self._confounds, "tr_s": self.tr_s}
        changed = {
            "dummy_scans": self.timing["dummy_scans"],
            "cleaning": cleaning,
            "smoothing_mm": self._block["smoothing_mm"],
        }
        return {
            subject: super(FmriprepDataset, self).reading(subject)._replace(**changed)
            for subject in self.subjects
        }

    @cached_property
    def timing(self) -> dict[str, Any]:
        return {"dummy_scans": self._dummy_scans, "start_time_s": self._start_time_s}

    @cached_property
    def _marked(self) -> dict[Path, int]:
        """Dummy scans that fMRIPrep marks in each run, by its table of confounds if that is read."""
        subjects = self.subjects if self._reads_tables else ()
        return {table: n_dummy_scans(table) for subject in subjects for table in self._tables[subject]}

    @property
    def _dummy_scans(self) -> int:
        # ASSUME: as many in all runs of a study, since a story has one clock for all who heard it.
        given = self._block["dummy_scans"]
        return max(self._marked.values(), default=0) if given == "auto" else given

    @cached_property
    def _start_time_s(self) -> float | None:
        """Time of a TR to which slices were corrected; None where they were not, or to the middle."""
        if (given := self._block["start_time_s"]) != "auto":
            return float(given)
        stated: dict[Path, float] = {}
        for image in (path for subject in self.subjects for path in self.responses(subject)):
            found = sidecar_seconds(image, self.root, "StartTime", 0, self.tr_s)
            corrected = sidecar_value(image, self.root, "SliceTimingCorrected")
            without = found is None or (corrected is not None and not corrected[0])
            stated[image] = self.tr_s / 2 if without else found[0]
        usual = statistics.median(stated.values())
        for image, start_s in stated.items():
            if abs(start_s - usual) > _SAME_START * self.tr_s:
                raise UserError(
                    f"{image}: by its sidecar its TRs stand for {start_s:g} s after their start, others for "
                    f"{usual:g} s; correct the slices of all runs alike, or set config key "
                    f"{self._key}.start_time_s"
                )
        return None if usual == self.tr_s / 2 else usual

    @property
    def notes(self) -> list[str]:
        found, kept = super().notes, self._dummy_scans
        without = [subject for subject in self.subjects if not self.places(subject)]
        if without and not self.config.get("voxels"):
            found.append(
                f"No maps of {some_of(without)}: nothing in the folder says where the space "
                f"{self._space(without[0])} lies on fsaverage5 (docs/dataset.md says which surfaces do)."
            )
        if self.config.get("voxels") and not self._block.get("mask") and self._is_volume(self.subjects[0]):
            found.append(
                "The voxel table counts voxels in the brain masks of all runs; a new run can change which "
                f"these are. A mask by config key {self._key}.mask keeps the numbers as they are."
            )
        if more := [table for table, marked in self._marked.items() if marked > kept]:
            rest = f", as in {len(more) - 1} more runs" if len(more) > 1 else ""
            found.append(
                f"{more[0]}: marks {self._marked[more[0]]} TRs at the start as not in a steady state, of "
                f"which {kept} are left out (config key {self._key}.dummy_scans){rest}."
            )
        return found

    @property
    def steps(self) -> list[dict[str, str]]:
        block, start_s = self._block, self._start_time_s
        voxels = "every vertex or grayordinate"
        if self._is_volume(self.subjects[0]):
            voxels = f"voxels of {block.get('mask') or 'the brain masks of all runs'}"
        times = "features at the middle of a TR"
        if start_s is not None:
            times = f"features at {start_s:g} s after the start of a TR, to which slices were corrected"
        taken = block["confounds"]
        regressed = [f"{name} ({taken[name]})" if name in taken else name for name in taken["strategy"]]
        smoothing, high_pass = block["smoothing_mm"], block["high_pass_hz"]
        done = {
            "space": f"{self._space(self.subjects[0]) or 'of the run'}; {voxels}",
            "dummy_scans": f"{self._dummy_scans} TRs at the start of each run left out",
            "start_time_s": times,
            "smoothing_mm": f"{smoothing:g} mm" if smoothing else "none by the workflow",
            "confounds": ", ".join(regressed) or "none",
            "detrend": "a linear trend removed" if block["detrend"] else "none",
            "high_pass_hz": f"cosines below {high_pass:g} Hz" if high_pass else "none",
        }
        return [{"key": f"{self._key}.{key}", "what was done": what} for key, what in done.items()]

    def check(self) -> None:
        if self._block["high_pass_hz"] and "high_pass" in self._block["confounds"]["strategy"]:
            raise UserError(
                f"config key {self._key}.high_pass_hz: strategy high_pass of {self._key}.confounds has a "
                "filter, fMRIPrep's own; choose one of them"
            )
        if "compcor" in (strategy := self._block["confounds"]["strategy"]) and "high_pass" not in strategy:
            raise UserError(
                f"config key {self._key}.confounds.strategy: compcor needs high_pass, since fMRIPrep finds "
                "its components after that filter; add it"
            )
        super().check()

    def examine(self) -> list[str]:
        found = super().examine()
        for subject in self.subjects:
            reading = self.reading(subject)
            for story in self.heard(subject):
                check_confounds(self.response(subject, story), self.clock(story).n_response, reading)
        return found
