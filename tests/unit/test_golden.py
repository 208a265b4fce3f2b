"""Each stage computes its golden numbers, or its version says that they are others."""

import golden_check
import pytest
from golden_stages import STAGES

from voxscale import versions
from voxscale.features import components as reduced


def test_every_stage_has_golden_numbers():
    assert STAGES.keys() == versions.NUMBERS.keys()
    assert {path.stem for path in golden_check.FOLDER.glob("*.json")} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_numbers_are_the_golden_ones(stage):
    now, known = golden_check.computed(stage), golden_check.stored(stage)
    changelog = golden_check.CHANGELOG.read_text()
    assert golden_check.faults(stage, versions.NUMBERS[stage], now, known, changelog) == []


@pytest.fixture
def moved(monkeypatch):
    """Components in another order: the numbers of stage `reduced` are no longer the golden ones."""
    components = reduced.principal_components

    def turned(parts, width):
        known, found = components(parts, width)
        return known, found[:, ::-1]

    monkeypatch.setattr(reduced, "principal_components", turned)
    return golden_check.computed("reduced")


def faults(version, now, known, changelog=""):
    return golden_check.faults("reduced", version, now, known, changelog)


def test_moved_numbers_ask_for_a_version(moved):
    known = golden_check.stored("reduced")
    (fault,) = faults(known["version"], moved, known)
    assert "raise reduced in voxscale/versions.py" in fault


def test_a_raised_version_asks_for_the_changelog_and_new_golden_numbers(moved):
    known = golden_check.stored("reduced")
    raised = known["version"] + 1
    stale, unnamed = faults(raised, moved, known)
    assert "`make golden`" in stale
    assert f'"- numbers: reduced {raised} – why"' in unnamed
    line = f"# Changelog\n- numbers: reduced {raised} – the order of components\n"
    assert faults(raised, moved, known, line) == [stale]
    renewed = {"version": raised, "numbers": moved}
    assert faults(raised, moved, renewed, line) == []
    assert faults(raised, moved, renewed, line.replace(str(raised), str(raised + 1))) == [unnamed]


def test_rounding_is_no_move_and_more_is_one():
    old = {"r": [0.5, 1e-9, 0.25, 0.0, "nan"], "n": [3]}
    noise = {"r": [0.500004, 2e-9, 0.25, 1e-9, "nan"], "n": [3]}
    assert golden_check.moved(old, noise, 1e-4) == []
    for i, value in enumerate([0.502, 1e-4, "inf", 1e-4, 0.0]):
        new = {"r": [value if k == i else v for k, v in enumerate(old["r"])], "n": [3]}
        assert golden_check.moved(old, new, 1e-4) == ["r"]
    assert golden_check.moved(old, {"n": [3, 4]}, 1e-4) == ["n"]


def test_golden_files_are_rewritten_only_for_a_raised_version(tmp_path, monkeypatch):
    now = {"r": [0.5]}
    monkeypatch.setattr(golden_check, "FOLDER", tmp_path / "golden")
    monkeypatch.setattr(golden_check, "CHANGELOG", tmp_path / "CHANGELOG.md")
    monkeypatch.setattr(golden_check, "STAGES", {"reduced": STAGES["reduced"]})
    monkeypatch.setattr(golden_check, "computed", lambda stage: dict(now))
    monkeypatch.setitem(versions.NUMBERS, "reduced", 1)
    golden, changelog = tmp_path / "golden/reduced.json", tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n")
    assert golden_check.write() == []
    first = golden.read_text()
    now["r"] = [0.7]
    (refused,) = golden_check.write()
    assert "raise reduced" in refused
    monkeypatch.setitem(versions.NUMBERS, "reduced", 2)
    (refused,) = golden_check.write()
    assert "CHANGELOG" in refused
    assert golden.read_text() == first
    changelog.write_text("- numbers: reduced 2 – another order\n")
    assert golden_check.write() == []
    assert golden_check.stored("reduced") == {"version": 2, "numbers": now}
