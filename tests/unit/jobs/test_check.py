"""Results are compared with the config by what they say themselves."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from voxscale.errors import UserError
from voxscale.io import sha256_text, write_json, write_page
from voxscale.jobs import Job, Settings, changed_sources, check_files, load_jobs, outdated_unnoted
from voxscale.jobs.notes import file_of, noted
from voxscale.jobs.sources import KEPT
from voxscale.provenance import note_job
from voxscale.study import Study


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = load_jobs(None)
    for job in subjects(jobs):
        note_job(jobs.digest(job))
        write_json(job.output, {"responses": job.wildcards["subject"]})
    yield jobs
    note_job(None)


def subjects(jobs):
    return [Job("digest_sounds", {"subject": subject}) for subject in jobs.study.subjects]


def test_files_of_the_present_settings_have_no_problem(jobs):
    found = check_files(jobs)
    missing = len(list(jobs.results()))
    assert found.describe() == f"2 files, all whole and up to date, {missing} results are missing."


def test_other_settings_damage_and_other_places_are_told(jobs):
    one, two = subjects(jobs)
    note_job("of another config")
    write_json(one.output, {"responses": "old"})
    two.output.write_bytes(one.output.read_bytes())
    found = check_files(jobs)
    assert "was made with other settings than the config's" in found.problems[0]
    assert f"that of {one.output}" in found.problems[1]
    assert "\n2 files: 2 problems, " in found.describe()
    two.output.unlink()
    two.output.symlink_to("nowhere")
    assert "is a dangling link" in check_files(jobs).problems[1]


def test_every_file_of_a_figure_and_the_report_are_read(jobs):
    report, figure = Job("write_report", {}), next(job for job in jobs.all() if job.rule == "draw_figure")
    png, csv, pdf = (figure.output.with_suffix(suffix) for suffix in (".png", ".csv", ".pdf"))
    png.parent.mkdir()
    about = PngImagePlugin.PngInfo()
    about.add_text("csv", sha256_text("a\n1\n"))
    Image.new("L", (2, 2)).save(png, pnginfo=about)
    csv.write_text("a\n1\n")
    pdf.write_bytes(b"%PDF-1.4 ... %%EOF\n")
    note_job(jobs.digest(report))
    write_page(report.output, "<html>a page</html>")
    assert not check_files(jobs).problems
    csv.write_text("a\n2\n")
    pdf.write_bytes(pdf.read_bytes()[:9])
    report.output.write_text("<html>another page</html>")
    said = "\n".join(check_files(jobs).problems)
    for path, what in ((csv, "has changed since"), (pdf, "is cut off"), (report.output, "has changed since")):
        assert any(line.startswith(f"{path}: ") and what in line for line in said.splitlines()), said


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe garbage", b"[1, 2]", b'{"params": ["', b'{"a": 1}']
)
def test_a_file_with_a_damaged_note_is_compared_by_its_own_settings(jobs, content):
    one, two = subjects(jobs)
    for job in (one, two):
        note = {"params": [repr(jobs.digest(job))], "record_format_version": 6}
        path = file_of(job.output, "metadata")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
        note_job("of another config")
        write_json(job.output, {})
    assert not outdated_unnoted(jobs), "the note counts, as for Snakemake"
    file_of(two.output, "metadata").write_bytes(content)
    assert noted(two.output) is None
    assert outdated_unnoted(jobs) == [two.output]
    assert Settings(jobs).differ(two, True)
    assert not Settings(jobs).differ(one, True)


def test_a_file_in_place_of_a_folder_and_an_unreadable_folder_are_one_line(jobs, monkeypatch, tmp_path):
    (tmp_path / "results/scores").write_text("")
    with pytest.raises(UserError, match=r"^results/scores: is a file where a folder must be"):
        load_jobs(None)
    (tmp_path / "results/scores").unlink()
    table = next(path for path in map(Path, jobs.results()) if str(path).endswith("all/scores.parquet"))
    table.mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"^results/tables/\w+/scores\.parquet: is a folder where a file must be"
    ):
        load_jobs(None)
    table.rmdir()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "results/subjects")
    with pytest.raises(UserError, match=r"^results/subjects: cannot be read"):
        load_jobs(None)


@pytest.mark.parametrize("kept", ["[[", '{"weights.bin": 1}', '{"weights.bin": {"state": 1}}', "\0\xff"])
def test_weights_that_were_replaced_and_kept_their_time_are_noticed(jobs, monkeypatch, kept):
    """Whatever the file of earlier digests holds."""
    weights, job = Path("weights.bin"), next(job for job in jobs.all() if job.rule == "prepare_model")
    monkeypatch.setattr(Study, "local_weights", lambda study, model: [str(weights)])
    weights.write_bytes(b"one")
    note_job(jobs.digest(job), [str(weights)])
    write_json(job.output, {})
    assert not changed_sources(jobs)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(kept)
    about = weights.stat()
    weights.write_bytes(b"two")
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    for _ in range(2):  # the second time by the digest that was kept
        assert changed_sources(jobs) == {job.output: [weights]}
        assert Settings(jobs).differ(job, True)
    found = f"weights.bin: has changed since 1 results were made from it, such as {job.output}; "
    assert check_files(jobs).problems == [f"{found}run the workflow again"]
    note_job(jobs.digest(job), [str(weights)])
    write_json(job.output, {})
    assert not changed_sources(jobs)
