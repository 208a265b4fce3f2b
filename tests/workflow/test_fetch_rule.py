"""The rule that fetches, run by Snakemake against a local server with a dataset of three small files."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
SNAKEFILE = """
import sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, {scripts!r})
from voxscale.dataset import kind_ds003020, open_dataset
from voxscale.jobs import record_of

kind_ds003020.TABLES = Path("tables/ds003020")
dataset = open_dataset({config!r}, "results/dataset")
study = SimpleNamespace(dataset=dataset, cluster=SimpleNamespace(submits_downloads=False))

exists = lambda rule: True
made = lambda rule: record_of(rule).outputs
log_of = lambda rule: record_of(rule).log
benchmark_of = lambda rule: record_of(rule).benchmark
needs = lambda rule: {{}}  # what the whole workflow asks of a cluster

def parameters(rule):
    of = lambda parameter: lambda wildcards: parameter(study, wildcards)
    found = {{name: of(parameter) for name, parameter in record_of(rule).params.items()}}
    means = record_of(rule).means
    return found | {{"means": lambda wildcards: SimpleNamespace(**means(study, wildcards))}}

include: {rules!r}
"""
FILES = {
    "derivative/respdict.json": b'{"walk": 40, "exam": 50}',
    "derivative/TextGrids/walk.TextGrid": b"w" * 3000,
    "derivative/TextGrids/exam.TextGrid": b"e" * 2000,
    "derivative/preprocessed_data/UTS01/walk.hf5": b"W" * 70_000,
    "derivative/preprocessed_data/UTS01/exam.hf5": b"E" * 90_000,
    "derivative/preprocessed_data/UTS02/walk.hf5": b"never asked for",
    "stimuli/walk.wav": b"s" * 5000,
    "stimuli/exam.wav": b"t" * 5000,
    "derivative/pycortex-db/UTS01/surfaces/flat_lh.gii": b"g" * 10,
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without writing to stderr."""

    def log_message(self, *_):
        pass


@pytest.fixture
def study(tmp_path):
    server_root, tables = tmp_path / "server", tmp_path / "study/tables/ds003020"
    tables.mkdir(parents=True)
    rows = ["path\tbytes\talgorithm\tdigest"]
    for name, content in FILES.items():
        (server_root / name).parent.mkdir(parents=True, exist_ok=True)
        (server_root / name).write_bytes(content)
        rows.append(f"{name}\t{len(content)}\tmd5\t{hashlib.md5(content).hexdigest()}")
    (tables / "manifest.tsv").write_text("\n".join(rows) + "\n")
    (tables / "respdict.json").write_bytes(FILES["derivative/respdict.json"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=server_root))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    config = {
        "kind": "ds003020",
        "root": "data",
        "subjects": ["UTS01"],
        "test_stories": ["exam"],
        "url": f"http://127.0.0.1:{server.server_port}",
    }
    (tmp_path / "study/Snakefile").write_text(
        SNAKEFILE.format(
            scripts=str(HOME / "workflow/scripts"), config=config, rules=str(HOME / "rules/fetch.smk")
        )
    )
    yield tmp_path
    server.shutdown()
    server.server_close()


def snakemake(study, *options):
    command = [sys.executable, "-m", "snakemake", "fetch", "--cores", "1", "--profile", "none", *options]
    return subprocess.run(command, cwd=study / "study", capture_output=True, text=True, check=False)


def test_the_rule_fetches_what_is_needed_once(study):
    run = snakemake(study)
    assert run.returncode == 0, run.stderr
    data = study / "study/data"
    found = {
        path.relative_to(data).as_posix(): path.read_bytes() for path in data.rglob("*") if path.is_file()
    }
    assert found == {name: content for name, content in FILES.items() if "UTS02" not in name}
    again = snakemake(study)
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_failed_part_loses_nothing_and_says_why(study):
    (study / "server/derivative/preprocessed_data/UTS01/exam.hf5").unlink()
    run = snakemake(study, "--keep-going")
    assert run.returncode != 0
    log = (study / "study/results/logs/fetch_dataset/UTS01.log").read_text()
    assert "UTS01/exam.hf5: the server does not have it (HTTP 404)" in log
    assert "Traceback" not in log
    kept = study / "study/data/derivative/preprocessed_data/UTS01/walk.hf5"
    assert kept.read_bytes() == FILES["derivative/preprocessed_data/UTS01/walk.hf5"]
    assert not (study / "study/results/dataset/UTS01.json").exists()
    mark = json.loads((study / "study/results/dataset/transcripts.json").read_text())
    assert len(mark["files"]) == 3
