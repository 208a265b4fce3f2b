"""docs/api.md from signatures and docstrings: `python tests/api_page.py` writes it."""

import inspect
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]
PAGE = HOME / "docs/api.md"
sys.path.insert(0, str(HOME / "workflow/scripts"))

import voxscale  # noqa: E402

TOP = """# Functions and estimators

What `voxscale` offers to a notebook; [notebook.md](notebook.md) uses it. Arrays have TRs as rows, voxels or
features as columns. An argument that cannot work is a `ValueError`, a model that cannot be loaded a
`voxscale.errors.UserError`. `python tests/api_page.py` writes this page from the code.
"""


def signature(name, thing):
    """The call, without the types' modules."""
    found = inspect.signature(thing)
    kept = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in found.parameters.values()
        if each.name != "self"
    ]
    return f"{name}{found.replace(parameters=kept, return_annotation=inspect.Signature.empty)}"


def section(name, thing, level="##"):
    """Heading, call and docstring."""
    return f"{level} {name}\n\n```text\n{signature(name, thing)}\n\n{inspect.getdoc(thing)}\n```\n"


def methods(thing):
    """Public methods that the library itself wrote, in the order of the code."""
    for kind in reversed(thing.__mro__):
        if kind.__module__.startswith("voxscale"):
            for name, method in vars(kind).items():
                if inspect.isfunction(method) and not name.startswith("_") and method.__doc__:
                    yield name, getattr(thing, name)


def page():
    """The whole page."""
    parts = [TOP]
    for name in sorted(voxscale.__all__, key=str.lower):
        thing = getattr(voxscale, name)
        parts.append(section(name, thing))
        if inspect.isclass(thing):
            parts += [section(f"{name}.{own}", method, "###") for own, method in dict(methods(thing)).items()]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
