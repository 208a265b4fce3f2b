"""Have a program run by the server of `quick_python`, as if this process were it."""

import json
import os
import socket
import sys

address, *argv = sys.argv[1:]
program = {"argv": argv, "environ": dict(os.environ), "cwd": os.getcwd()}  # noqa: PTH109 (each job starts this: few imports)
with socket.socket(socket.AF_UNIX) as server:
    server.connect(address)
    socket.send_fds(server, [b"+"], [0, 1, 2])
    server.sendall(json.dumps(program).encode())
    server.shutdown(socket.SHUT_WR)
    status = server.recv(1) or b"\1"
sys.exit(status[0])
