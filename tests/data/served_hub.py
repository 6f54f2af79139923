"""A small server that answers as the Hugging Face hub does, and commands that take it for the hub."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from unlearnbench.tasks.mme.task import MMETask

PINNED = MMETask.hub.revision
"""The one commit that every repository has."""

Files = dict[str, bytes]


class Hub:
    """Datasets and models by name, each with its files, and what was asked for."""

    def __init__(self, repositories: dict[str, Files], models: dict[str, Files] | None = None) -> None:
        self.repositories, self.models = repositories, models or {}
        self.asked: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append(f"{self.command} {path}")
                status, headers, body = hub.answer(path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        datasets = ((f"datasets/{name}", f"/datasets/{name}", files) for name, files in self.repositories.items())
        models = ((f"models/{name}", f"/{name}", files) for name, files in self.models.items())
        for api, place, files in (*datasets, *models):
            if path == f"/api/{api}" or path.startswith(f"/api/{api}/revision/"):
                siblings = [{"rfilename": each, "size": len(data)} for each, data in files.items()]
                about = {"id": api.partition("/")[2], "sha": PINNED, "siblings": siblings}
                return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()
            if path.startswith(f"/api/{api}/tree/"):
                tree = [
                    {"type": "file", "path": each, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for each, data in files.items()
                ]
                return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()
            for each, data in files.items():
                if path == f"{place}/resolve/{PINNED}/{each}":
                    tag = {"X-Repo-Commit": PINNED, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
                    return 200, tag, data
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def sent(self) -> list[str]:
        """The files whose content was asked for."""
        return [line.rpartition("/")[2] for line in self.asked if line.startswith("GET") and "/resolve/" in line]


def command(home: Path, url: str, *arguments: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    """What a command line says whose Hugging Face folder is ``home``, and for which the hub is at ``url``."""
    environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_OFFLINE": str(int(offline))}
    words = [sys.executable, "-m", "unlearnbench", *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True)
