"""The app that enqueues: `python client.py MODULE`, in the environment of the system that is measured.

It reads commands, a JSON object a line, and answers each with one: wall and CPU seconds of what it did. The
module's `Client` has `single` (one call a job), may have `bulk` (its best way to enqueue many), both given a job's
name, numbers and further arguments, and `later` (name, numbers, epoch seconds for each).
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

from marks import Marks
from timing import latency


def obey(client: Any, marks: Marks, command: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and return its figures."""
    if command["do"] == "latency":
        return latency(client, marks, command["samples"])
    numbers = range(command.get("first", 0), command.get("first", 0) + command["count"])
    more = [command["times"]] if "times" in command else command.get("more", [])
    cpu, began = time.process_time(), time.perf_counter()
    getattr(client, command["do"])(command["job"], numbers, *more)
    return {"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}


def main() -> None:
    """Serve stdin until its end."""
    client = importlib.import_module(sys.argv[1]).Client()
    marks = Marks.here()
    print(json.dumps({"ready": True, "bulk": hasattr(client, "bulk")}), flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(client, marks, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
