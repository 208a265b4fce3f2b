"""A stand-in for the model hub: tells and sends a repository's files as huggingface_hub asks for them."""

import hashlib
import http.server
import json
import threading
from pathlib import Path
from urllib.parse import unquote

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class Hub:
    """Serves models on this machine.

    Args:
        models: repository id -> folder in the hub's format.
        gated: ids whose files are refused.
    """

    def __init__(self, models, gated=()):
        self.models, self.gated, self.sent = {k: Path(v) for k, v in models.items()}, set(gated), []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _handler(hub):
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in ({"Content-Length": len(body)} | headers).items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def refuse(self, status, code):
                self.answer(status, b"{}", X_Error_Code=code, X_Error_Message=code)

            def about(self, name, revision, rest):
                if name not in hub.models:
                    return self.refuse(404, "RepoNotFound")
                if revision not in ("main", COMMIT):
                    return self.refuse(404, "RevisionNotFound")
                if rest == "auth-check":
                    return self.refuse(403, "GatedRepo") if name in hub.gated else self.answer(200, b"{}")
                files = sorted(path for path in hub.models[name].iterdir() if path.is_file())
                if rest == "tree":
                    stated = [
                        {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40}
                        for f in files
                    ]
                else:
                    siblings = [{"rfilename": file.name} for file in files]
                    stated = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
                return self.answer(200, json.dumps(stated).encode(), Content_Type="application/json")

            def do_GET(self):
                parts = unquote(self.path.split("?")[0]).strip("/").split("/")
                if parts[:2] == ["api", "models"]:
                    name, rest = "/".join(parts[2:4]), parts[4:]
                    if rest[:1] == ["auth-check"]:
                        return self.about(name, "main", "auth-check")
                    return self.about(name, rest[1] if len(rest) > 1 else "main", (rest or [""])[0])
                name, file = "/".join(parts[:2]), "/".join(parts[4:])
                path = hub.models.get(name, Path("/nowhere")) / file
                if name in hub.gated:
                    return self.refuse(403, "GatedRepo")
                if not path.is_file():
                    return self.refuse(404, "EntryNotFound")
                body = path.read_bytes()
                if self.command == "GET":
                    hub.sent.append(file)
                etag = f'"{hashlib.sha256(body).hexdigest()}"'
                return self.answer(200, body, ETag=etag, X_Repo_Commit=COMMIT, Accept_Ranges="bytes")

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        return Handler
