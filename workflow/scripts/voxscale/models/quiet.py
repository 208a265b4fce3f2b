"""transformers without its log lines: what matters is raised as an error here."""

import functools


@functools.cache
def silence() -> None:
    """Turn off transformers' log lines and loading bars, once."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
