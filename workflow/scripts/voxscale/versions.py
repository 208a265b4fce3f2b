"""Versions of the numbers that each stage computes.

A stage's number is raised when its results change by more than rounding: then, and only then, all results of
that stage are computed again. It is part of the parameters of the stage's rules and of the feature store's
keys. Comments, messages, names and the location of modules do not count.
"""

NUMBERS: dict[str, int] = {
    "phantom": 1,
    "stories": 2,
    "responses": 1,
    "lags": 1,
    "models": 1,
    "text": 2,
    "speech": 3,
    "controls": 1,
    "own": 1,
    "reduced": 1,
    "encoding": 4,
    "banded": 4,
    "ceiling": 3,
    "scores": 6,
    "stacking": 3,
    "laws": 3,
    "figures": 3,
    "report": 4,
}


def numbers(*stages: str) -> dict[str, int]:
    """The versions of some stages, by name."""
    return {stage: NUMBERS[stage] for stage in stages}
