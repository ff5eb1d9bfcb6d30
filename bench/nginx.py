"""nginx as the peer, which serves a file or passes calls on, and as the upstream that always says the same."""

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
  {behind}
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
COMPLETION = """
    location = /count {{ stub_status; }}
    location / {{ return 200 '{completion}'; }}
"""
BEHIND = "upstream behind {{ server {address}; keepalive 2048; keepalive_requests 1000000000; }}"
PASSING = """
    location / {{
      proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering};
      proxy_read_timeout 300s;
    }}
"""


class Nginx:
    def __init__(self, folder: Path, core: int, locations: str, behind: str = "") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nginx.conf"
        named = {"user": getpass.getuser(), "folder": folder, "port": self.port}
        config.write_text(CONFIG.format(locations=locations, behind=behind, **named))
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

    @classmethod
    def completing(cls, folder: Path, completion: str) -> Self:
        """Answers every call with these words, which hold no quote and no dollar sign."""
        return cls(folder, machine.LOAD_CORE, COMPLETION.format(completion=completion))

    @classmethod
    def passing(cls, folder: Path, upstream: str, *, streams: bool) -> Self:
        """Passes everything on, over connections that stay open, from the server's core. `streams`: piece by piece."""
        passing = PASSING.format(buffering="off" if streams else "on")
        address = upstream.removeprefix("http://")
        return cls(folder, machine.SERVER_CORE, passing, BEHIND.format(address=address))

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
