"""Where a model's files are: built here, in a local folder, or a snapshot of the hub."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from voxscale.errors import UserError, first_line
from voxscale.io import read_json
from voxscale.models.digests import WANTED, WEIGHTS
from voxscale.models.registry import ModelEntry

_UNWANTED = ["*fp32*", "*flax*", "*training_args*", "*optimizer*", "*/*"]


def _lacks_weights(folder: Path, pattern: str) -> bool:
    """Whether a snapshot lacks its weights, or a part of those that its own index lists."""
    listed: set[str] = set()
    for index in folder.glob(f"{pattern}.index.json"):
        listed |= set(read_json(index).get("weight_map", {}).values())
    if listed:
        return not all((folder / name).is_file() for name in listed)
    return not any(folder.glob(pattern))


def has_all_weights(entry: ModelEntry, folder: Path) -> bool:
    """Whether a folder in the hub's format has the entry's weights, all of their parts."""
    if entry.gguf_file:
        return (folder / entry.gguf_file).is_file()
    return not all(_lacks_weights(folder, pattern) for pattern in WEIGHTS)


@contextlib.contextmanager
def hub_errors(entry: ModelEntry) -> Iterator[None]:
    """Turn the hub's refusals into messages that say what to do.

    Raises:
        UserError: gated, unknown, no such revision, not downloaded yet, or the hub fails.
    """
    from huggingface_hub import errors

    where, name = entry.where, f"{entry.hub} (revision {entry.revision})"
    try:
        yield
    except errors.HFValidationError:
        raise UserError(f"{where}: hub {entry.hub} is not an id like owner/name; correct it") from None
    except errors.GatedRepoError:
        raise UserError(
            f"{where}: {name} is gated; accept its licence at huggingface.co/{entry.hub} "
            "and log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{where}: {entry.hub} has no revision {entry.revision}; check it") from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{where}: the hub has no {entry.hub}; check the id, or log in if it is private"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise UserError(
            f"{where}: {name} is not in the local cache and the hub cannot be reached; "
            "fetch the models first on a machine with network (`make models`)"
        ) from None
    except (errors.HfHubHTTPError, OSError) as error:
        raise UserError(f"{where}: {name} could not be fetched; try again ({first_line(error)})") from None


def fetch_snapshot(entry: ModelEntry, cache_dir: str | Path | None = None) -> Path:
    """Folder of the entry's revision in the hub's cache, downloaded if it is not there yet.

    With `HF_HUB_OFFLINE=1` only the cache is looked at.

    Raises:
        UserError: gated, unknown, no such revision, not (wholly) downloaded yet, or no weights in it.
    """
    from huggingface_hub import constants, snapshot_download

    def snapshot(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                entry.hub,
                revision=entry.revision,
                cache_dir=cache_dir,
                allow_patterns=patterns,
                ignore_patterns=_UNWANTED,
            )
        )

    with hub_errors(entry):
        folder = snapshot([*WANTED, entry.gguf_file] if entry.gguf_file else WANTED)
        for pattern in [] if entry.gguf_file else WEIGHTS:
            if _lacks_weights(folder, pattern):
                folder = snapshot([pattern])
            if not _lacks_weights(folder, pattern):
                return folder
    if has_all_weights(entry, folder):
        return folder
    name = f"{entry.hub} (revision {entry.revision})"
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{entry.where}: {name} is not wholly in the local cache; "
            "fetch the models first on a machine with network (`make models`)"
        )
    raise UserError(f"{entry.where}: {name} holds no weights; name another revision")


def folder_on_disk(entry: ModelEntry, cache_dir: str | Path | None = None) -> Path | None:
    """Where the files of a published model are on this machine; None if they are not (wholly) there."""
    file = entry.gguf_file or "config.json"
    if entry.path is not None:
        folder = Path(entry.path)
    elif entry.hub is None:
        return None
    else:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(entry.hub, file, cache_dir=cache_dir, revision=entry.revision)
        folder = Path(found).parent if isinstance(found, str) else Path()
    return folder if (folder / file).is_file() and has_all_weights(entry, folder) else None


def local_folder(entry: ModelEntry) -> Path:
    """The entry's `path`, checked.

    Raises:
        UserError: it does not exist, or contains no model or only some of its weights.
    """
    folder = Path(entry.path or "")
    where = entry.where
    if not folder.is_dir():
        raise UserError(f"{where}.path: {folder} is not a folder; put the model there or change the path")
    wanted = entry.gguf_file or "config.json"
    if not (folder / wanted).is_file():
        raise UserError(f"{where}: {folder} has no {wanted}; it must hold a model in the hub's format")
    if not has_all_weights(entry, folder):
        raise UserError(f"{where}: {folder} lacks weights, or a part of them; copy the whole model there")
    return folder
