"""Two real users in one folder, of whom neither sees the processes of the other."""

import os
import shutil
import signal
import subprocess

import pytest
from slurm.drive import PATIENCE_S, until

pytestmark = pytest.mark.slurm
USER = "voxscale-bob"
HIDDEN = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv {} "$@"'


@pytest.fixture(scope="module")
def bob():
    """How to run a command as another user, from whom the processes of all others are hidden."""
    if os.geteuid() or not all(map(shutil.which, ("useradd", "unshare", "setpriv"))):
        pytest.skip("a second user needs root, useradd, unshare and setpriv")
    subprocess.run(["useradd", "--create-home", USER], check=True)
    # A Python in the home of root may be read, and nothing else that a user could not do.
    able = "+dac_read_search"
    identity = f"--reuid {USER} --regid {USER} --init-groups --inh-caps {able} --ambient-caps {able}"
    yield ["unshare", "--mount", "sh", "-c", HIDDEN.format(f"{identity} --bounding-set -all,{able}"), "sh"]
    subprocess.run(["userdel", "--remove", USER], check=True, capture_output=True)


def test_a_run_of_another_user_is_seen_alive_or_gone_and_its_jobs_are_waited_for(whole, sweep, bob):
    subprocess.run(["chmod", "-R", "a+rwX", sweep.folder], check=True)
    home = f"/home/{USER}"
    about = {"before": bob, "HOME": home, "XDG_CACHE_HOME": f"{home}/cache", "USER": USER}
    fits = whole.folder.glob("results/fits/**/*.json")
    targets = [str(path.relative_to(whole.folder)) for path in sorted(fits)]
    # Of what this run and its jobs make, others may write everything.
    run, log = sweep.start(targets=targets, before=["sh", "-c", 'umask 0; exec "$@"', "sh"]), sweep.log
    held = sweep.hold(len(targets))
    second = sweep.start(targets=targets, **about)
    assert second.wait(PATIENCE_S) == 1, sweep.text[-3000:]
    assert "In this folder works the run of root on" in sweep.text
    assert "cannot be locked" in sweep.text
    assert "was killed" not in sweep.text
    assert run.poll() is None
    run.send_signal(signal.SIGKILL)
    run.wait()
    third = sweep.start(targets=targets, **about)
    until("jobs of another user waited for", lambda: f"waiting for {len(targets)} that run" in sweep.text)
    assert "The previous run was killed; its lock is removed." in sweep.text
    assert {job[0] for job in sweep.queue()} == set(held)  # nobody has submitted another
    sweep.let_go()
    assert third.wait(PATIENCE_S) == 0, sweep.text[-3000:]
    assert "Nothing to be done" in sweep.text
    cells = {path: digest for path, digest in whole.digests().items() if "/scores/model=" in path}
    assert sweep.digests() == cells
    assert sweep.twice_at_once() == []
    assert "In this folder works" not in log.read_text()
