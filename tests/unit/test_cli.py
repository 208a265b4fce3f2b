"""The command line: each command on a study without results, and a mistake in one line."""

import pytest
import yaml
from workflow.runs import tiny_config

from voxscale.cli import main


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture
def which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tiny_config()))
    (tmp_path / "seed.yaml").write_text("encoding: {seed: 7}")
    return ("--configfile", "study.yaml", "seed.yaml", "--directory", tmp_path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("plan", "fit_encoding"),
        ("status", "fit_encoding"),
        ("usage", "0 of 0 jobs between 1 and 3"),
        ("models", "built here, random weights"),
    ],
)
def test_a_command_takes_several_configs(which, capsys, command, said):
    assert call(command, *which) == 0
    assert said in capsys.readouterr().out


def test_pruning_takes_each_config_as_a_study(which, capsys):
    assert call("prune", "--configfile", "study.yaml", "study.yaml", "--directory", ".", "--delete") == 0
    assert "-  deleted" in capsys.readouterr().out


def test_fits_are_listed_when_asked_for(which, capsys):
    assert call("status", *which, "--cells") == 0
    assert "n_train    state" in capsys.readouterr().out


def test_a_mistake_is_one_line(tmp_path, capsys):
    config = tiny_config()
    config["sweeps"]["size"]["models"] = ["no-such-model"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    assert call("plan", "--configfile", tmp_path / "study.yaml", "--directory", tmp_path) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(
        f"ERROR plan: {tmp_path}/study.yaml: config key sweeps.size.models: unknown model no-"
    )
    assert "\n" not in said


def test_the_demo_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("plan") == 0
    assert "fit_encoding" in capsys.readouterr().out


def test_a_check_with_problems_fails_and_an_unreadable_folder_is_one_line(
    which, capsys, tmp_path, monkeypatch
):
    assert call("check", *which) == 0
    assert capsys.readouterr().out.startswith("0 files, ")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/report.html").write_text("another page")
    assert call("check", *which) == 1
    assert "1 files: 1 problems" in capsys.readouterr().out

    def refused(*_):
        raise PermissionError(13, "Permission denied", ".snakemake/incomplete")

    monkeypatch.setattr("voxscale.cli.started_outputs", refused)
    assert call("status", *which) == 1
    assert capsys.readouterr().err.startswith("ERROR status: .snakemake/incomplete: Permission denied; ")
