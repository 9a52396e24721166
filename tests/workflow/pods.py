"""A stand-in for Kubernetes: its API, as far as Snakemake asks it, and pods that are processes of this machine.

Each pod starts in an empty folder, with the environment that its job and its secret say, and the programs of this
environment in place of the image. It shares no folder with the others, or with the run that asked for it.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Cluster:
    """A cluster with some `slots` for pods; `jobs` holds what was asked for, by name, in order."""

    def __init__(self, folder: Path, slots: int = 2):
        self.folder = folder
        self.jobs: dict[str, dict] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.codes: dict[str, int] = {}  # of the pods that have ended
        self._pods = ThreadPoolExecutor(slots)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def kubeconfig(self) -> Path:
        """The file with the address of the cluster."""
        path = self.folder / "kubeconfig"
        url = f"http://127.0.0.1:{self._server.server_port}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
        }
        path.write_text(json.dumps(content))  # JSON is YAML
        return path

    def stop(self) -> None:
        """End the API and wait for the pods."""
        self._server.shutdown()
        self._pods.shutdown(cancel_futures=True)

    def submit(self, job: dict) -> None:
        """Start a job's pod as soon as a slot is free."""
        name = job["metadata"]["name"]
        self.jobs[name] = job
        pod = self._pods.submit(self._run, name, job["spec"]["template"]["spec"]["containers"][0])
        pod.add_done_callback(lambda pod: self.codes.setdefault(name, 1))  # one that could not be started

    def log(self, name: str) -> Path:
        """Where the output of a pod lies."""
        return self.folder / f"{name}.log"

    def rule(self, name: str) -> str:
        """The rule whose job a pod has run."""
        return re.search(r"\(Rule: (\w+)\)", self.log(name).read_text())[1]

    def _run(self, name: str, container: dict) -> None:
        place = self.folder / name
        place.mkdir()
        secret = {item["name"]: self._secret(item["valueFrom"]["secretKeyRef"]) for item in container.get("env") or []}
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "HOME": str(place),
            "OMP_NUM_THREADS": "1",
            **{key: value for key, value in os.environ.items() if key.startswith("PIP_")},
            **secret,
        }
        with open(self.log(name), "w") as log:
            command = [*container["command"], *container["args"]]
            done = subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.codes[name] = done.returncode

    def _secret(self, reference: dict) -> str:
        return base64.b64decode(self.secrets[reference["name"]][reference["key"]]).decode()

    def status(self, name: str) -> dict:
        """What Kubernetes says of a job."""
        code = self.codes.get(name)
        counts = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "status": counts}


def handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    """The API of a cluster."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            match self.path.split("?")[0].split("/"):
                case ["", "api", "v1", "namespaces", "default", "secrets"]:
                    cluster.secrets[body["metadata"]["name"]] = body["data"]
                case ["", "apis", "batch", "v1", "namespaces", "default", "jobs"]:
                    cluster.submit(body)
                case _:
                    return self._answer(404, {})
            return self._answer(201, body)

        def do_GET(self) -> None:
            match self.path.split("?")[0].split("/"):
                case [*_, "jobs", name, "status"]:
                    return self._answer(200, cluster.status(name))
                case [*_, "pods"]:
                    return self._answer(200, {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []})
                case _:
                    return self._answer(404, {})

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(200, {"kind": "Status", "status": "Success"})

        def _answer(self, code: int, body: dict) -> None:
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Requests are not shown."""

    return Handler
