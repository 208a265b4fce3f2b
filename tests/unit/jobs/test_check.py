"""Results are compared with the config by what they say themselves."""

import pytest

from voxscale.io import write_json
from voxscale.jobs import Job, describe_check, load_jobs, problems, without_note
from voxscale.jobs.notes import file_of
from voxscale.provenance import note_settings


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = load_jobs(None)
    for subject in jobs.study.subjects:
        job = Job("digest_responses", {"subject": subject})
        note_settings(jobs.digest(job))
        write_json(job.output, {"responses": subject})
    yield jobs
    note_settings(None)


def test_files_of_the_present_settings_have_no_problem(jobs):
    assert describe_check(jobs) == "All files are whole and up to date."


def test_other_settings_damage_and_other_places_are_told(jobs):
    one, two = without_note(jobs)
    note_settings("of another config")
    write_json(one.output, {"responses": "old"})
    two.output.write_bytes(one.output.read_bytes())
    lines = list(problems(jobs))
    assert "was made with other settings than the config's" in lines[0]
    assert f"that of {one.output}" in lines[1]
    assert describe_check(jobs).endswith("\n2 problems")


def test_only_files_without_a_note_are_read_at_a_start(jobs):
    one, two = without_note(jobs)
    for job, content in ((one, "{}"), (two, "")):
        note = file_of(job.output, "metadata")
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(content)
    assert without_note(jobs) == [two], "a note that a full disk left empty is none"
