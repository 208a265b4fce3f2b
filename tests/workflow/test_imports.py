"""The library's rooms: who may import whom, and by which names."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

HOME = Path(__file__).parents[2]
LIBRARY = HOME / "workflow/scripts/voxscale"
# From low to high: a room imports only rooms that stand before it.
ORDER = (
    *("errors", "overlap", "versions", "progress", "provenance", "script"),
    *("timeseries", "io", "cortex", "ridge", "statistics"),
    *("dataset", "models", "features", "encoding", "scores", "stacking", "laws", "figures", "report"),
    *("phantom", "cluster", "study", "jobs"),
    *("cli", "__main__"),
)
FLOORS = 8  # of rooms; the single modules are the ground below and the roof above


class Import(NamedTuple):
    """One import of a module of the library."""

    place: str  # file:line
    module: str  # that imports
    source: str  # module that a name is taken from
    target: str  # module that is imported: the source, or the name where that is a module
    name: str | None


def find_modules(library):
    found = {}
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = file
    return found


def imports_of(module, file, modules):
    """Every import of the library in a file, also those inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(file.read_text())):
        place = f"{file.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "voxscale":
                    yield Import(place, module, alias.name, alias.name, None)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "voxscale":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(
                    place, module, node.module, whole if whole in modules else node.module, alias.name
                )


def room_of(module):
    """The room, or the module of the ground floor, that a module belongs to; None for the package itself."""
    return module.split(".")[1] if "." in module else None


def exported(room):
    """Names that a room exports; a module of the ground floor exports all it has."""
    stub = LIBRARY / room / "__init__.pyi"
    nodes = ast.parse(stub.read_text()).body if stub.exists() else []
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.fixture(scope="module")
def imports():
    modules = find_modules(LIBRARY)
    return [one for name, file in modules.items() for one in imports_of(name, file, modules)]


def across(imports):
    pairs = ((room_of(one.module), room_of(one.target), one.place) for one in imports)
    return [(room, other, place) for room, other, place in pairs if room and other and room != other]


def test_a_room_imports_only_lower_rooms(imports):
    rooms = {room_of(name) for name in find_modules(LIBRARY)} - {None}
    assert rooms <= set(ORDER), "a new room: give it its place in ORDER"
    height = {room: i for i, room in enumerate(ORDER)}
    back = [
        f"{place}: {room} imports {other}"
        for room, other, place in across(imports)
        if height[other] >= height[room]
    ]
    assert not back


def test_the_rooms_have_few_floors(imports):
    rooms = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    graph = nx.DiGraph((room, other) for room, other, _ in across(imports) if {room, other} <= rooms)
    path = nx.dag_longest_path(graph)
    assert len(path) <= FLOORS, " -> ".join(path)


def test_no_circle_inside_a_room(imports):
    edges = [(one.module, one.target) for one in imports if room_of(one.module) == room_of(one.target)]
    graph = nx.DiGraph((module, target) for module, target in edges if module != target)
    assert not list(nx.simple_cycles(graph))


def takes_an_inner_name(one):
    """Whether an import reaches past what another room exports."""
    room = room_of(one.target)
    if room in (None, room_of(one.module)) or not (LIBRARY / room).is_dir():
        return False
    return one.source != f"voxscale.{room}" or one.name not in exported(room)


def test_another_room_is_known_by_its_exported_names_only(imports):
    modules = find_modules(LIBRARY)
    scripts = [
        one
        for file in sorted((HOME / "workflow/scripts").glob("*.py"))
        for one in imports_of(file.stem, file, modules)
    ]
    inner = [
        f"{one.place}: {one.source} {one.name}" for one in [*imports, *scripts] if takes_an_inner_name(one)
    ]
    assert not inner


def test_a_plan_loads_nothing_that_is_slow_to_start(tmp_path):
    """Each job of a cluster reads the study twice, in two processes of Snakemake."""
    code = (
        "import sys; from voxscale.jobs import load_jobs; "
        f"list(load_jobs({str(HOME / 'config/config.yaml')!r}, {str(tmp_path)!r}).all()); "
        "slow = {'torch', 'pandas', 'scipy', 'sklearn', 'nibabel', 'nilearn', 'matplotlib'}; "
        "print(*sorted(slow & set(sys.modules)))"
    )
    path = {**os.environ, "PYTHONPATH": str(HOME / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
