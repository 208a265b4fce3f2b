"""Models: what config/models.yaml says of them, getting or building them, counting and loading them.

`registry` imports nothing heavy, so that a study can be planned on a login node; the others need torch.
"""

from voxscale.models.registry import ModelEntry, load_registry

__all__ = ["ModelEntry", "load_registry"]
