"""nginx twice: as the peer that serves a file, and as an upstream that answers every job with the same words."""

from __future__ import annotations

import getpass
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from bench import machine
from bench.ports import free_port

CONFIG = """
daemon off; user {user}; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; default_type application/json; keepalive_requests 1000000000; keepalive_timeout 300s;
  open_file_cache max=100; sendfile on; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    {locations}
  }}
}}
"""
PREDICTION = '{{"id":"{id}","status":"{status}","input":{{}},"output":null,"error":null,"logs":"","metrics":{{}}}}'
UPSTREAM = """
    location = /count {{ stub_status; }}
    location / {{
      if ($request_method = POST) {{ return 201 '{starting}'; }}
      return 200 '{processing}';
    }}
"""


class Nginx:
    def __init__(self, folder: Path, core: int, locations: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(user=getpass.getuser(), folder=folder, port=self.port, locations=locations))
        command = ["nginx", "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(config)]
        self.process = subprocess.Popen(command, preexec_fn=lambda: machine.pin(core))
        _wait_until_open(self.url)

    @classmethod
    def upstream(cls, folder: Path) -> Self:
        """Accepts every job, and never ends one."""
        words = {
            "starting": PREDICTION.format(id="never-ends", status="starting"),
            "processing": PREDICTION.format(id="never-ends", status="processing"),
        }
        return cls(folder, machine.LOAD_CORE, UPSTREAM.format(**words))

    @classmethod
    def static(cls, folder: Path, body: bytes) -> Self:
        """Serves one file of these bytes at every path, from the server's core."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "body").mkdir(exist_ok=True)
        (folder / "file").write_bytes(body)
        return cls(folder, machine.SERVER_CORE, f"root {folder}; location / {{ try_files /file =404; }}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def requests(self) -> int:
        """How many requests it has had, by its own count, this one included."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=5) as reply:
            found = re.search(r"requests\s+\d+ \d+ (\d+)", reply.read().decode())
        return int(found[1]) if found else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def _wait_until_open(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx did not open {url}")
