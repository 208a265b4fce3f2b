"""Features of one model reduced to a fixed number of principal components, as if they were another model's.

Width grows with the size of a model, and with it the number of predictors: a score that rises with size may
rise with width alone. At one width for all, only what the features hold is left to differ.

The components are fitted to the stimulus of all training stories, at TRs that have responses; no test story
and no response of anybody is looked at. With folds, in which stories are tested on in turn, they are fitted
to the stimulus of all stories: features only, no responses. They are linear in the source's features, which
are scaled by their mean and deviation over these TRs first: of raw features the few that vary most would be
all components.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxscale.errors import UserError, naming
from voxscale.features.extraction import Made, update_features
from voxscale.features.store import content_key, feature_files, feature_path, read_features
from voxscale.io import read_json
from voxscale.progress import bar
from voxscale.timeseries import PooledScale
from voxscale.versions import numbers

_EXACT = 1500  # rows or columns, up to which all singular vectors are computed, above only those needed


def principal_components(parts: Sequence[np.ndarray], width: int) -> tuple[PooledScale, np.ndarray]:
    """Leading principal components of scaled features.

    Args:
        parts: (TRs, d) of each training story.
        width: how many.

    Returns:
        the pooled mean and deviation of the features, and the components (d, width), each of length 1 and
        with its largest entry positive.

    Raises:
        ValueError: there are not as many components.
    """
    known = PooledScale.of(parts, 0)
    x = np.concatenate([known.apply(part, 0) for part in parts]).astype(np.float64)
    if width > min(x.shape):
        raise ValueError(f"{width} components of {x.shape[1]} features at {len(x)} training TRs; lower it")
    if min(x.shape) <= _EXACT or width == min(x.shape):
        found = np.linalg.svd(x, full_matrices=False)[2][:width].T
    else:
        from scipy.sparse.linalg import svds

        _, size, right = svds(x, width, v0=np.ones(min(x.shape)))
        found = right[np.argsort(-size)].T
    largest = np.abs(found).argmax(0)
    return known, found * np.sign(found[largest, np.arange(width)])


def extract_components(
    source: str | Path,
    card_path: str | Path,
    index: str | Path,
    store: str | Path,
    training: Collection[str],
    layers: Sequence[int],
    settings: Mapping[str, Any],
) -> None:
    """Write the components of some layers of every story; those that exist are kept.

    Args:
        source: index of the model whose features are reduced.
        card_path: card of the reduced model; its width is the number of components.
        index: `results/features/<model>.h5`, written last.
        store: folder of the story files, `results/features/stories`.
        training: stories that the components are fitted to.
        layers: which; they keep their numbers.
        settings: trim (clock TRs without responses in front and behind), on_disk.

    Raises:
        UserError: a story or layer is missing, or there are fewer components than the width.
    """
    card, links = read_json(card_path), feature_files(source)
    start, stop = settings["trim"]
    fitted = sorted(set(training) & set(links))
    if not fitted:
        raise UserError(f"{source}: has none of the training stories; extract its features again")
    # The name of a source's file stands for all its numbers depend on.
    same = {
        "numbers": numbers("reduced"),
        "width": card["width"],
        "layers": list(layers),
        "trim": [start, stop],
        "fitted": [links[story].name for story in fitted],
        "on_disk": settings["on_disk"],
    }
    files = {
        story: feature_path(store, card["model"], story, content_key(**same, source=path.name))
        for story, path in links.items()
    }

    def make(missing: list[str], layers: list[int]) -> Iterator[Made]:
        maps = {}
        for layer in layers:
            whole = [read_features(source, story, layer) for story in fitted]
            with naming("config key plateau.width"):
                maps[layer] = principal_components(
                    [part[start : len(part) - stop] for part in whole], card["width"]
                )
        for story in bar(missing, card["model"], unit="story"):
            reduced = {
                layer: (known.apply(read_features(source, story, layer), 0) @ found).astype(np.float32)
                for layer, (known, found) in maps.items()
            }
            yield story, reduced, {"model": card["model"], "source": card["source"]}

    update_features(index, files, layers, make, settings["on_disk"])
