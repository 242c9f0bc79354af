"""``kad serve`` as clients meet it: real processes, two of them by tensor parallelism, three drafts a round, and the official client."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

import kad
from kad.engines import HuggingFace, Settings

from .running import ENVIRONMENT, apart, law, probabilities

PROMPT = "q : mia has 6 pens . she buys 8 more . she loses 3 . how many pens does mia have now ? a :"
QUESTION = PROMPT.removeprefix("q : ").removesuffix(" a :")
START, SOON = 300, 30  # seconds


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    client: openai.OpenAI

    def metric(self, name: str) -> float:
        lines = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"vllm:{name}{{"))

    def healthy(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("kad")), "serve", "--host=127.0.0.1", f"--port={port}", "--tensor-parallel=2",
        "--window=3", "--", "--enforce-eager", "--gpu-memory-utilization=0.2", "--max-num-seqs=16",
    ]  # fmt: skip
    environment = (
        os.environ | ENVIRONMENT | {"VLLM_CPU_OMP_THREADS_BIND": "0|1" if (os.cpu_count() or 1) > 1 else "0|0"}
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=120)
    found = Server(process, port, folder / "log", client)
    end = time.monotonic() + START
    while not found.healthy():
        assert process.poll() is None, found.log.read_text()[-3000:]
        assert time.monotonic() < end, found.log.read_text()[-3000:]
        time.sleep(0.5)
    yield found
    client.close()
    process.terminate()
    process.wait(60)


def test_completions_and_chat_are_those_of_kad(server: Server, peer: HuggingFace) -> None:
    ids = peer.tokenizer(PROMPT)["input_ids"]
    ours = peer.generate([ids], kad.dual(0.4), Settings(new_tokens=40)).texts[0].text
    assert [model.id for model in server.client.models.list()] == ["kad"]
    done = server.client.completions.create(model="kad", prompt=PROMPT, max_tokens=40, temperature=0)
    assert done.choices[0].text.strip() == ours
    assert done.choices[0].finish_reason == "stop"
    messages: Any = [{"role": "user", "content": QUESTION}]
    chat = server.client.chat.completions.create(model="kad", messages=messages, max_tokens=40, temperature=0)
    templated = peer.checkpoints.aligned_tokenizer.apply_chat_template(messages, add_generation_prompt=True)[
        "input_ids"
    ]
    assert chat.choices[0].message.content is not None
    assert (
        chat.choices[0].message.content.strip()
        == peer.generate([templated], kad.dual(0.4), Settings(new_tokens=40)).texts[0].text
    )
    assert server.metric("spec_decode_num_accepted_tokens_total") > 0


def test_a_stream_is_its_text(server: Server) -> None:
    asked: dict[str, Any] = {"model": "kad", "prompt": PROMPT, "max_tokens": 40, "temperature": 0}
    whole = server.client.completions.create(**asked).choices[0].text
    parts = [part.choices[0].text for part in server.client.completions.create(**asked, stream=True)]
    assert len(parts) > 2
    assert "".join(parts) == whole


def test_log_probabilities_are_of_what_is_sampled(server: Server, peer: HuggingFace) -> None:
    """At a temperature, and of the target that the request names."""
    prompt = peer.tokenizer(PROMPT)["input_ids"]
    for name, target, heat in (
        (None, kad.dual(0.4), 0.7),
        ("primal:0.9", kad.primal(0.9), 1.3),
        ("q*", kad.Proxy(), 1.0),
    ):
        done = server.client.completions.create(
            model="kad", prompt=prompt, max_tokens=6, temperature=heat, logprobs=5,
            extra_body={"return_token_ids": True, "return_tokens_as_token_ids": True, "ignore_eos": True}
            | ({} if name is None else {"vllm_xargs": {"kad": name}}),
        ).choices[0]  # fmt: skip
        assert done.logprobs is not None
        ids = [int(token.removeprefix("token_id:")) for token in done.logprobs.tokens or ()]
        tops = [
            {int(t.removeprefix("token_id:")): x for t, x in top.items()} for top in done.logprobs.top_logprobs or ()
        ]
        pi, told = law(peer, target, prompt, ids, heat), probabilities(tops)
        seen = told > 0
        assert apart(pi[:, : told.shape[1]] * seen, told) <= 5e-5, name
        best = pi.topk(3).values.sum(-1)
        assert ((told.topk(3).values.sum(-1) - best).abs() < 1e-4).all(), name


def test_a_cancelled_request_runs_no_more(server: Server) -> None:
    stream = server.client.completions.create(
        model="kad", prompt="q : tom has", max_tokens=240, temperature=1, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    assert server.metric("num_requests_running") == 1
    stream.close()
    time.sleep(1)
    assert server.metric("num_requests_running") == 0


def named(value: object) -> dict[str, Any]:
    return {"extra_body": {"vllm_xargs": {"kad": value}}}


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "a model that is not there": ({"model": "nobody"}, 404, "does not exist"),
    "a prompt beyond the context": ({"prompt": [5] * 400}, 400, "256"),
    "an id outside the vocabulary": ({"prompt": [999_999]}, 400, "out of vocabulary"),
    "a negative temperature": ({"temperature": -1}, 400, "temperature"),
    "a temperature beyond all": ({"temperature": 1e38}, 400, "temperature"),
    "an empty prompt": ({"prompt": ""}, 400, "non-empty"),
    "min-p with drafts": ({"extra_body": {"min_p": 0.3}}, 400, "min_p"),
    "a bias with drafts": ({"logit_bias": {"5": 10}}, 400, "logit_bias"),
    "an import path": (named("os.system"), 400, "kad names one of the methods"),
    "a list for a name": (named([1, 2]), 400, "in words"),
    "no number": (named("dual:nan"), 400, "finite number"),
    "a parameter outside its range": (named("dual:7"), 400, "must lie in"),
    "a parameter where there is none": (named("p:0.3"), 400, "no parameter"),
    "a method under another name": ({"extra_body": {"vllm_xargs": {"target": "dual:0.3"}}}, 400, "names its method as kad"),
    "a model that is not held": (named("p*"), 400, "kad names one of the methods"),
    "the prompt's log-probabilities at a temperature": ({"temperature": 0.5, "echo": True, "logprobs": 1}, 400, "temperature 1 or 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_in_words(server: Server, case: str) -> None:
    asked, status, words = BAD[case]
    with pytest.raises(openai.APIStatusError) as error:
        server.client.completions.create(**{"model": "kad", "prompt": "q : tom", "max_tokens": 2, **asked})
    assert error.value.status_code == status
    assert words in str(error.value)
    assert server.healthy()


@pytest.mark.parametrize(
    "extra",
    [
        {"top_k": 3}, {"top_k": 3, "top_p": 0.9}, {"n": 3}, {"use_beam_search": True, "n": 2}, {"allowed_token_ids": [200, 201]},
        {"repetition_penalty": 1.3}, {"prompt_logprobs": 1}, {"min_tokens": 3}, {"bad_words": ["first"]},
    ],
)  # fmt: skip
def test_what_else_vllm_can_still_works(server: Server, extra: dict[str, Any]) -> None:
    done = server.client.completions.create(model="kad", prompt=PROMPT, max_tokens=4, temperature=1, extra_body=extra)
    assert len(done.choices) == extra.get("n", 1)
    assert server.healthy()


def test_a_grammar_of_tokens_without_mass_still_finds_one(server: Server) -> None:
    """At this temperature π of both is 0 in float32."""
    extra: dict[str, Any] = {"structured_outputs": {"choice": ["she", "pens"]}}
    done = server.client.completions.create(
        model="kad", prompt=PROMPT, max_tokens=4, temperature=0.02, extra_body=extra
    )
    assert done.choices[0].text.strip() in ("she", "pens")


def test_a_killed_worker_ends_the_server(server: Server) -> None:
    """The last test of this server: whoever waits gets a 500, and nothing stays behind; a supervisor starts it anew."""
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    workers = [p for p in family if "Worker_TP1" in "".join(p.cmdline())]
    assert len(workers) == 1
    found: list[Exception] = []

    def ask() -> None:
        try:
            server.client.completions.create(
                model="kad", prompt="q : tom has", max_tokens=240, temperature=1, n=8, extra_body={"ignore_eos": True}
            )
        except Exception as error:
            found.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while server.metric("num_requests_running") == 0:
        time.sleep(0.05)
    workers[0].send_signal(signal.SIGKILL)
    waiting.join(SOON)
    assert len(found) == 1
    assert isinstance(found[0], openai.InternalServerError | openai.APIConnectionError)
    server.process.wait(SOON)
    assert not server.healthy()
    assert not psutil.wait_procs(family, timeout=SOON)[1]
    assert math.isfinite(server.process.returncode)
