"""Partition, account and limits from a site file, beside profiles and the command line; what is refused."""

import subprocess

import pytest
import yaml
from slurm.drive import FIT, UNIT

pytestmark = pytest.mark.slurm
ONE_FIT, INDEX = FIT.format("tiny-opt-1", "1-2"), "results/features/tiny-whisper-1.h5"
EXTRACTION = "rule_extract_speech_features_wildcards_tiny-whisper-1"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Writes a site file."""
    path = tmp_path / "site.yaml"
    monkeypatch.setenv("VOXSCALE_SITE", str(path))

    def write(**kinds):
        path.write_text(yaml.safe_dump({"cluster": kinds}))
        return path

    return write


def accounts(sweep):
    """Account of each job of this directory, by its id."""
    command = ["sacct", "-X", "--noheader", "--parsable2", "--starttime", "now-6hours"]
    text = subprocess.run(
        [*command, "--format", "JobID,Account"], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("|") for line in text.splitlines())


def test_nothing_on_a_command_line_or_in_profiles_replaces_partition_account_and_gpus(sweep, site, tmp_path):
    # The study's config has the partition of GPUs; the site file the rest.
    site(all={"account": "lab", "extra": "--nice=7"}, gpu={"gres": "gpu:fake"}, cpu={"max_minutes": 2})
    profile = {
        "default-resources": ["slurm_partition=short", "slurm_account=other"],
        "set-resources": {"extract_speech_features": {"mem_mb": 3100}},
        "jobs": 5,
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text(yaml.safe_dump(profile))
    (sweep.folder / INDEX).unlink()
    one = "--profile", tmp_path / "mine", "--set-resources", "fit_encoding:mem_mb=1234"
    sweep.finish(*one, targets=[INDEX, ONE_FIT])
    (extraction,), (fit,) = sweep.of_unit(EXTRACTION), sweep.of_unit(UNIT.format("tiny-opt-1", "1-2"))
    assert extraction.partition == "gpu"
    assert "gres/gpu:fake=1" in extraction.tres
    # Of the profile, which only names what nothing else does; of the line; of the site file.
    assert (fit.partition, fit.memory, fit.minutes) == ("short", 1234, 2)
    assert {accounts(sweep)[job.jobid] for job in (extraction, fit)} == {"lab"}


def test_what_no_node_can_run_ends_the_run_before_its_first_job(sweep, site):
    path = site(cpu={"partition": "cpuu"})
    run = {"targets": [ONE_FIT], "status": 1}
    assert (
        f"ERROR {path}: cluster.cpu.partition: the cluster has no partition cpuu; did you mean cpu"
        in sweep.finish(**run)
    )
    site()
    said = sweep.finish("--set-resources", "fit_encoding:mem_mb=9000", **run)
    unit = "fit_encoding tiny-opt-1 UTS01 2 1-2"
    reason = "asks for 9,000 MB, and no node has more than 8,000 of the default partition"
    assert f"config key cluster.cpu.partition: {unit} {reason}; name another partition" in said
    said = sweep.finish("--set-resources", "fit_encoding:slurm_partition=short", **run)
    assert (
        f"ERROR resource slurm_partition of fit_encoding: {unit} asks for 6 minutes, and no node has" in said
    )
    assert sweep.jobs() == []


def test_sbatch_s_own_words_end_the_run_with_the_key_to_change(sweep, site):
    path = site(cpu={"constraint": "avx512"}, gpu={"qos": "fast"}, all={"account": "lab"})
    (sweep.folder / INDEX).unlink()
    said = sweep.finish("--retries", "0", targets=[INDEX, ONE_FIT], status=1)
    for text in (said, sweep.status()):
        for rule, words, key in (
            ("fit_encoding", "Invalid feature specification", "cpu.constraint"),
            ("extract_speech_features", "Invalid qos specification", "gpu.qos"),
        ):
            line = f"ERROR {rule}: sbatch refuses the job: Batch job submission failed: {words}; "
            assert line + f"change {path}: cluster.{key}" in text
    assert "Traceback" not in said
    assert sweep.jobs() == []
    site(all={"account": "nobody"})
    said = sweep.finish("--retries", "0", targets=[ONE_FIT], status=1)
    assert f"change {path}: cluster.all.account" in said
