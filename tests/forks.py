"""Real processes without their start: one that has imported everything waits, and forks a child for every program.

A child has its own working folder, environment and files, ends with an exit status of its own, and shares nothing with the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = """
import json, os, runpy, sys, traceback
import kad.cli.main, kad.cli.commands, kad.cli.evaluate, kad.cli.generate, kad.evaluation.runner, transformers

def child(job):
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        os.dup2(os.open(job["files"][number], mode), number)
    for number in (0, 1, 2):
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, os.fdopen(number, "r" if not number else "w", encoding="utf-8", closefd=False))
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    status = 0
    try:
        if job["file"]:
            sys.argv = [job["file"], *job["arguments"]]
            sys.path.insert(0, os.path.dirname(job["file"]))
            runpy.run_path(job["file"], run_name="__main__")
        else:
            sys.argv = ["kad", *job["arguments"]]
            kad.cli.main.entry()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else end.code is not None
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))

print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        child(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Forks:
    """The process that waits; close it, or leave it to the end of the tests.

    Args:
        flags: of Python.
        cwd, environment: where and with what it starts.
    """

    def __init__(
        self, flags: Sequence[str] = (), cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.environment = dict(os.environ if environment is None else environment)
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-c", SERVER], cwd=cwd, env=self.environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(self.process.communicate()[1])

    def close(self) -> str:
        """End it; what it had to say."""
        return self.process.communicate()[1]

    def run(
        self, arguments: Sequence[str] = (), *, file: Path | None = None, code: str | None = None, cwd: Path | None = None,
        given: str = "", terminal: str | None = None, environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """Run ``kad ARGUMENTS``, a file, or code, to its end.

        Args:
            given: on standard input.
            terminal: the name of a terminal to write to, instead of the answer.
        """
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("in", "out", "err", "code.py")]
            for path, text in zip(paths, (given, "", "", code or ""), strict=True):
                Path(path).write_text(text)
            job = {
                "arguments": [str(x) for x in arguments],
                "file": paths[3] if code is not None else None if file is None else str(file),
                "cwd": str(cwd or os.getcwd()),
                "environment": self.environment | dict(environment or {}),
                "files": [paths[0], terminal or paths[1], paths[2]],
            }
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            return subprocess.CompletedProcess([], status, Path(paths[1]).read_bytes(), Path(paths[2]).read_bytes())
