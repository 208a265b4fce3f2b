"""A Python that starts at once: forked from a process that has imported the large packages.

Python takes one second to start with Snakemake and two with PyTorch; a study starts one for every job, and
the tests run many studies. Only imports of installed packages are shared: each program is a process of its
own, with its arguments, environment and folder, and imports this repository's code itself.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

CLIENT = Path(__file__).with_name("quick_client.py")
# What Snakemake and the scripts of its jobs import.
PACKAGES = """
    snakemake.cli snakemake.script snakemake.report polars nbformat
    numpy pandas scipy.linalg scipy.optimize scipy.signal scipy.spatial scipy.special scipy.stats
    h5py pyarrow.parquet pyarrow.pandas_compat nibabel praatio.textgrid soundfile
    matplotlib.backends.backend_agg matplotlib.backends.backend_pdf matplotlib.pyplot
    torch torch._dynamo safetensors.torch tokenizers transformers.models.auto.modeling_auto
    transformers.models.hubert.modeling_hubert transformers.models.llama.modeling_llama
    transformers.models.opt.modeling_opt transformers.models.whisper.modeling_whisper
"""
READ_AT_IMPORT = "HF_"  # the hub's client reads its variables when it is imported
STARTED = "QUICK_PYTHON"  # for the tests that a test starts


def _read_at_import():
    return {name: value for name, value in os.environ.items() if name.startswith(READ_AT_IMPORT)}


AT_START = _read_at_import()


def quick_python():
    """Path of a Python that runs `SCRIPT ARGUMENT...`."""
    if _read_at_import() != AT_START:
        return sys.executable
    if STARTED not in os.environ:
        os.environ[STARTED] = str(_start())
    return os.environ[STARTED]


def _start():
    """Start the server, which ends with this process; the executable that asks it."""
    folder = Path(tempfile.mkdtemp(prefix="quick-python-"))
    atexit.register(shutil.rmtree, folder)
    address, executable = folder / "address", folder / "python"
    python, client = shlex.quote(sys.executable), shlex.quote(str(CLIENT))
    executable.write_text(
        "#!/bin/sh\n"
        f'case "$1" in -*) exec {python} "$@" ;; esac\n'
        f'exec {python} -ES {client} {shlex.quote(str(address))} "$@"\n'
    )
    executable.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        [sys.executable, __file__, address, executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**environment, "OMP_NUM_THREADS": "1"},  # a process with threads cannot be forked safely
    )
    atexit.register(server.communicate)
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError("the server of quick_python did not start")
    return executable


def serve(address, executable):
    """Fork a process for each program that is asked for, until the tests end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    for package in PACKAGES.split():
        importlib.import_module(package)
    gc.freeze()
    print("ready", flush=True)
    running = {}  # handle of a process -> (its id, who asked for it)
    while True:
        for ready in select.select([sys.stdin, listener, *running], [], [])[0]:
            if ready is sys.stdin:
                return
            if ready is listener:
                asking, _ = listener.accept()
                pid = os.fork()
                if pid == 0:
                    listener.close()
                    os._exit(run(asking, executable))
                running[os.pidfd_open(pid)] = pid, asking
            else:
                pid, asking = running.pop(ready)
                os.close(ready)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with asking, contextlib.suppress(OSError):
                    asking.sendall(bytes([status % 256]))


def run(asking, executable):
    """Become the program that is asked for; its exit status."""
    _, outputs, *_ = socket.recv_fds(asking, 1, 3)
    for number, given in enumerate(outputs):
        os.dup2(given, number)
        os.close(given)
    program = json.loads(asking.makefile("rb").read())
    os.chdir(program["cwd"])
    os.environ.clear()
    os.environ.update(program["environ"])
    sys.argv, sys.executable = program["argv"], executable
    script = Path(sys.argv[0]).absolute()
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[0:1] = [str(script.parent), *given]
    random.seed()
    sys.modules["numpy"].random.seed()
    status = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    serve(*sys.argv[1:])
