"""`python -m bench [MEASURE …] [--full] [--json]`: measure, print, keep the raw figures."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import chat, create, flight, machine, memory, restart, status, streams
from bench.rows import Row

MEASURES: dict[str, Callable[[Path], Iterator[Row]]] = {
    "status": status.measure,
    "create": create.measure,
    "flight": flight.measure,
    "restart": restart.measure,
    "memory": memory.measure,
    "chat": chat.measure,
    "streams": streams.measure,
}
KEPT = Path(".cache/bench")


def main() -> int:
    asked = _asked()
    missing = [name for name in machine.TOOLS if not machine.tool(name)]
    if missing:
        print(f"make bench needs {' and '.join(missing)}: apt-get install {' '.join(missing)}", file=sys.stderr)
        return 1
    on = machine.described()
    if not asked.json:
        print("measured on " + ", ".join(f"{name} {words}" for name, words in on.items()))
        print(f"the server on core {machine.SERVER_CORE}, load and upstream on core {machine.LOAD_CORE}; no TLS\n")
    kept: dict[str, object] = {"machine": on}
    measures = MEASURES | ({"memory": partial(memory.measure, calls=memory.FULL)} if asked.full else {})
    for name in asked.measures or MEASURES:
        on |= {"one loop": f"{machine.loop_ms():.0f} ms"}
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
            rows = [_told(row, quiet=asked.json) for row in measures[name](Path(folder))]
        kept[name] = [row.raw() for row in rows]
        _keep(name, on, kept[name])
    if asked.json:
        print(json.dumps(kept, indent=2))
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], help="what to measure; all unless named")
    parser.add_argument("--full", action="store_true", help="memory over a million calls, instead of a fifth of that")
    parser.add_argument("--json", action="store_true", help="print the raw figures instead of words")
    return parser.parse_args()


def _told(row: Row, *, quiet: bool) -> Row:
    if not quiet:
        head = f"{row.what:<52} {row.figure:>10,.4g}   {row.target:<9} {row.verdict}"
        print("\n".join([head, f"    {row.words}", *([f"    {row.beside}"] if row.beside else [])]), flush=True)
    return row


def _keep(name: str, on: dict[str, str], rows: object) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    said = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": on, "rows": rows}
    (KEPT / f"{name}.json").write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
