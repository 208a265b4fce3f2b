"""Whether several runs are repeats of one story: whether they agree in time by more than chance."""

import numpy as np

from voxscale.timeseries import zscore

# Agreement of runs that have nothing in common exceeds this in 1 of 100 cases.
_CHANCE = 2.33
_FEWEST = 8  # TRs
_SLOW = 64  # TRs; slower changes are drifts of the scanner, which runs have in common


class Agreement:
    """Agreement of a story's repeats, gathered from blocks of voxels.

    It is the sum of the products of all pairs of repeats over voxels and TRs, in deviations of the same sum
    with one of the two shifted in time (in a circle). Shifted runs keep what neighbouring voxels and TRs have
    in common, so that chance is judged with it. The first fifth is left out, since scans react to the start
    of any story alike.
    """

    def __init__(self) -> None:
        self._cross: np.ndarray | float = 0.0
        self._n_trs = 0

    def add(self, repeats: np.ndarray) -> None:
        """Take in a block (repeats, TRs, voxels) of finite values."""
        repeats = repeats[:, repeats.shape[1] // 5 :]
        self._n_trs = repeats.shape[1]
        earlier: np.ndarray | float = 0.0
        for one in repeats:
            spectrum = np.fft.rfft(zscore(one), axis=0)
            self._cross = self._cross + (np.conj(earlier) * spectrum).sum(axis=1)
            earlier = earlier + spectrum

    @property
    def deviations(self) -> float:
        """Agreement in deviations by chance; infinite where there are too few TRs to judge."""
        if self._n_trs < _FEWEST:
            return np.inf
        slow = np.fft.rfftfreq(self._n_trs) < 1 / _SLOW
        cross = np.where(slow, 0, self._cross)
        by_shift = np.fft.irfft(cross, self._n_trs)
        near = max(1, min(10, self._n_trs // 8))  # shifts that the slow response hardly tells from none
        return float(by_shift[0] / (np.sqrt(np.mean(by_shift[near + 1 : -near] ** 2)) + 1e-30))

    @property
    def by_chance(self) -> bool:
        """Whether the repeats agree no more than runs of different stories may."""
        return self.deviations < _CHANCE
