"""The house rules that a machine can hold: format, lint, pins, documented keys and rules."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import networkx as nx
import pytest
import yaml
from packaging.requirements import Requirement

import voxscale
from voxscale.jobs import RULES, record_of, require_schemas
from voxscale.jobs.record import Rule, light
from voxscale.study.config import SCHEMA

HOME = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SMK = ["Snakefile", "workflow/Snakefile", *sorted(str(p.relative_to(HOME)) for p in HOME.glob("rules/*.smk"))]


def run(*command):
    return subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("snakefmt", "--check", *SMK),
        ("snakemake", "--lint"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_format_and_lint(command):
    done = run(BIN / command[0], *command[1:])
    assert done.returncode == 0, done.stdout + done.stderr


def pins(lines):
    return dict(re.fullmatch(r"([A-Za-z0-9_.-]+)==([^ ;]+)(?:; .*)?", line).groups() for line in lines)


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_one_set_of_pins():
    """Pins are in the lock, and again in the environment; pyproject.toml has ranges that hold them."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lock = {
        normal(name): pin
        for name, pin in pins((HOME / "lock/requirements.txt").read_text().splitlines()).items()
    }
    beside = pins((HOME / "lock/flatmaps.txt").read_text().splitlines())
    assert not lock.keys() & set(map(normal, beside))
    for line in project["dependencies"] + extras["dev"] + extras["flatmaps"]:
        wanted = Requirement(line)
        pin = (lock | beside)[normal(wanted.name)]
        assert wanted.specifier.contains(pin), f"{line}: the lock has {pin}"
        assert not any(each.operator == "==" for each in wanted.specifier), f"{line}: pins are the lock's"
    environment = yaml.safe_load((HOME / "envs/voxscale.yaml").read_text())["dependencies"]
    listed = (HOME / "lock/requirements.txt").read_text().splitlines()
    assert environment[-1]["pip"] == listed, "type: make envs/voxscale.yaml"


def test_one_version():
    assert f"\nversion: {voxscale.__version__}\n" in (HOME / "CITATION.cff").read_text()


def schema_keys(schema, prefix=""):
    """Dotted names of the leaves of the config schema; a free name is written <name>."""
    forms = [form for form in schema.get("oneOf", ()) if "properties" in form]
    parts = [part for form in (schema, *forms) for part in form.get("properties", {}).items()]
    children = {f"{prefix}{key}": part for key, part in parts}
    if isinstance(rest := schema.get("additionalProperties"), dict):
        children[f"{prefix}<name>"] = rest
    own = {prefix.rstrip(".")} if forms or not children else set()
    return own.union(*(schema_keys(part, f"{key}.") for key, part in children.items()))


def test_every_config_key_is_explained():
    schema = yaml.safe_load(SCHEMA.read_text())
    rows = re.findall(r"^\| (`.*?) \|", (HOME / "config/README.md").read_text(), flags=re.MULTILINE)
    explained = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    assert schema_keys(schema) == explained


def rule_texts():
    for path in SMK:
        for rule in re.split(r"^ *(?:rule|checkpoint) ", (HOME / path).read_text(), flags=re.MULTILINE)[1:]:
            yield rule.split(":")[0], rule


def test_every_rule_says_what_it_makes_and_has_its_script_log_and_benchmark():
    for name, text in rule_texts():
        assert re.match(r'\w+:\s+"""[A-Z]', text), f"rule {name} has no docstring"
        if "script:" not in text:
            continue
        script = re.search(r'script:\s+"\.\./workflow/scripts/(\w+)\.py"', text).group(1)
        assert script == name
        assert f'log_of("{name}")' in text, f"rule {name}: its log is not that of its record"
        assert f'benchmark_of("{name}")' in text, f"rule {name}: its benchmark is not that of its record"
        assert "conda:" in text, f"rule {name} has no environment"
        # What downloads runs on a node only where the config says that it has a network.
        assert ("localrule: not study.cluster.submits_downloads" in text) == record_of(name).local, name


def test_every_rule_with_a_script_has_a_record_and_no_other():
    assert {name for name, text in rule_texts() if "script:" in text} == set(RULES)
    require_schemas()


def test_a_rule_without_a_record_and_a_table_without_a_schema_are_errors(monkeypatch):
    with pytest.raises(LookupError, match="rule count_sheep has no record"):
        record_of("count_sheep")
    counting = Rule("count_sheep", {"sheep": "results/sheep.parquet"}, light)
    monkeypatch.setitem(RULES, "count_sheep", counting)
    with pytest.raises(LookupError, match="rule count_sheep: table sheep has no schema"):
        require_schemas()


def test_what_follows_from_the_study_is_a_parameter_of_the_record():
    for name, text in rule_texts():
        if name == "compare_resources" or "script:" not in text:  # no part of the study
            continue
        params = re.search(r"^ +params:\n(.*?)^ +script:", text, flags=re.MULTILINE | re.DOTALL).group(1)
        assert f'**parameters("{name}")' in params, f"rule {name}"
        assert not re.search(r"\bstudy\.|\bconfig\b(?!/)", params), f"rule {name}: put it into its record"


def test_every_script_belongs_to_a_rule_and_reads_snakemake_only_in_its_guard():
    names = {name for name, _ in rule_texts()}
    for path in (HOME / "workflow/scripts").glob("*.py"):
        assert path.stem in names, f"{path.name} belongs to no rule"
        for node in ast.parse(path.read_text()).body:
            uses = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == "snakemake"]
            assert not uses or isinstance(node, ast.If), f"{path.name}:{node.lineno} reads snakemake"


def test_what_a_script_reads_of_its_job_is_there():
    texts = dict(rule_texts())
    for name, record in RULES.items():
        script = (HOME / f"workflow/scripts/{name}.py").read_text()
        assert set(re.findall(r"snakemake\.output\.(\w+)", script)) <= set(record.outputs), name
        known = {*record.params, *(["means"] if record.means else [])}
        for param in set(re.findall(r"snakemake\.params\.(\w+)", script)) - known:
            assert re.search(rf"^ +{param}=", texts[name], flags=re.MULTILINE), f"rule {name}: params.{param}"


def test_the_readme_opens_with_the_two_commands():
    first_screen = "\n".join((HOME / "README.md").read_text().splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen


def rule_graph(text):
    """Graph of a Mermaid chart: an edge from each rule to those that need it."""
    names = {id_: name for id_, name in re.findall(r"^\s*(id\d+)\[(\w+)\]", text, flags=re.MULTILINE)}
    pairs = re.findall(r"^\s*(\w+) --> (\w+)", text, flags=re.MULTILINE)
    return nx.transitive_closure(nx.DiGraph([[names.get(end, end) for end in pair] for pair in pairs]))


def test_the_readme_s_rule_graph_is_part_of_snakemake_s_own(tmp_path):
    done = run(BIN / "snakemake", "--directory", tmp_path, "--rulegraph", "mermaid-js")
    assert done.returncode == 0, done.stderr
    text = re.search(r"```mermaid\n(.*?)```", (HOME / "README.md").read_text(), flags=re.DOTALL).group(1)
    shown, whole = rule_graph(text), rule_graph(done.stdout)
    assert {"read_story", "fit_encoding", "fit_law", "write_report"} <= set(shown)
    assert set(shown.edges) == set(whole.subgraph(shown).edges)
