"""Models that are not available (unknown, gated, not downloaded), reported before the first job."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxscale.errors import UserError
from voxscale.models.counting import require_class
from voxscale.models.hub import folder_on_disk, hub_errors, local_folder
from voxscale.models.registry import ModelEntry


def _why_unavailable(entry: ModelEntry, cache_dir: str | Path | None, ask: bool) -> str | None:
    """Why an entry's model is not available, and what to do, in one line; None if it is available.

    The hub is not asked about a model in the cache, and with `HF_HUB_OFFLINE=1` about none.
    """
    if not entry.has_network:
        return None
    try:
        require_class(entry)
        if entry.build is not None:
            return None
        if entry.path is not None:
            local_folder(entry)
        elif entry.hub is None:
            return f"{entry.where}: its weights are not on the hub; set path to a folder that has them"
        elif ask and not folder_on_disk(entry, cache_dir):
            _ask(entry)
    except UserError as error:
        return str(error)
    return None


def _ask(entry: ModelEntry) -> None:
    """Ask the hub whether this user may download the model."""
    import httpx2 as httpx
    from huggingface_hub import HfApi, errors

    with hub_errors(entry):
        try:
            HfApi().model_info(entry.hub, revision=entry.revision, timeout=20)
            HfApi().auth_check(entry.hub)  # metadata of gated models are open to all, files are not
        except (httpx.TransportError, ConnectionError) as error:
            raise errors.LocalEntryNotFoundError(str(error)) from None


def require_models(
    entries: Iterable[ModelEntry], cache_dir: str | Path | None = None, ask: bool = True
) -> None:
    """Make sure that every model exists or can be downloaded.

    Args:
        ask: whether the hub is asked about models that are not on the disk.

    Raises:
        UserError: some are not available; the line names all of them.
    """
    if not (entries := list(entries)):
        return
    # Not first imported by several threads at once: the module replaces itself, which some would miss.
    import transformers  # noqa: F401

    with ThreadPoolExecutor(8) as pool:
        reasons = [
            line for line in pool.map(lambda entry: _why_unavailable(entry, cache_dir, ask), entries) if line
        ]
    if reasons:
        raise UserError(" · ".join(reasons))
