"""`kad play` over HTTP: the tokens of `kad.generate`, one visitor after another, nothing left behind, words for what is wrong."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import kad
from kad.checkpoints import Checkpoints
from kad.cli.main import main
from kad.loading import tokenizer_at
from kad.play import server, watched
from kad.play.asked import question_of
from kad.play.stage import Stage
from kad.play.watched import Watched

from .conftest import ENDLESS, QUESTION, Served, events_of

COLUMNS = {
    "dual": ({"method": "dual", "value": 0.3, "window": 3, "temperature": 1.3}, kad.dual(0.3), {}),
    "draws": ({"method": "primal", "value": 0.5, "placement": "draws", "temperature": 0.9}, kad.primal(0.5, "draws"), {}),
    "mixture": (
        {"method": "mixture", "loss": "Squared", "solver": "fractional", "value": 0.4, "window": 1, "temperature": 1.1,
         "placement": "mixture"},
        kad.Mixture(kad.Squared(), kad.Fractional(0.4), "mixture"), {},
    ),
    "bet": ({"method": "confidence-bet", "window": 2, "temperature": 1.0}, kad.confidence_bet(0.1), {}),
    "paced": ({"method": "paced", "value": 0.2, "window": 2, "temperature": 1.2}, kad.paced(0.2), {}),
    "p": ({"method": "p", "window": 4, "temperature": 0.8}, kad.mixture.Base(), {}),
    "q*": ({"method": "q*", "temperature": 0.8}, kad.mixture.Base(), {"base": "proxy"}),
    "p*": ({"method": "p*", "window": 3}, kad.mixture.Base(), {"base": "base_aligned"}),
}  # fmt: skip
DUAL = {"method": "dual"}


@pytest.mark.parametrize("names", [["dual", "draws", "mixture", "p"], ["bet", "paced", "q*", "p*"]])
def test_side_by_side_come_the_tokens_that_generate_writes(served: Served, pair: kad.Pair, names: list[str]) -> None:
    columns = [COLUMNS[name][0] for name in names]
    events = served.ask({"prompt": QUESTION, "chat": True, "seed": 7, "new_tokens": 20, "columns": columns})
    assert events[-1] == {"type": "end"}
    for k, name in enumerate(names):
        asked, target, where = COLUMNS[name]
        mine = [event for event in events if event.get("k") == k]
        options = (
            {"do_sample": True, "temperature": asked["temperature"]} if "temperature" in asked else {"do_sample": False}
        )
        out = kad.generate(
            getattr(pair, where.get("base", "base")), pair.proxy, [{"role": "user", "content": QUESTION}],
            target=target, tokenizer=pair.tokenizer, window=asked.get("window", 0), seed=7, max_new_tokens=20, **options,
        )  # fmt: skip
        told = [token for event in mine if event["type"] == "tokens" for token in event["tokens"]]
        assert [token["id"] for token in told] == out.trace.emitted[0], name
        assert [(t["origin"], t["accepted"]) for t in told] == [(t.origin, t.accepted) for t in out.trace.tokens()]
        assert [t["alpha"] for t in told] == pytest.approx([t.alpha for t in out.trace.tokens()], rel=1e-4)
        texts: dict[int, str] = {}
        for event in mine:
            texts |= {int(at): text for at, text in event.get("texts", {}).items()}
        whole = pair.tokenizer.decode(out.trace.emitted[0], skip_special_tokens=True)
        assert "".join(text for _, text in sorted(texts.items())) == whole
        (totals,) = [event["totals"] for event in mine if event["type"] == "totals"]
        for key in ("tokens", "base_passes", "base_fed", "proxy_passes", "proxy_fed", "drafted", "accepted"):
            assert totals[key] == out.trace.summary()[key], (name, key)
        assert mine[-1] == {"type": "looked", "k": k}
        check_looks([event for event in mine if event["type"] == "look"], told, splits=name == "mixture")


def test_a_window_that_is_chosen_while_running(served: Served) -> None:
    """It follows the clock, so its drafts, and what is drawn for them, need not be the same twice."""
    events = served.ask({"prompt": QUESTION, "new_tokens": 5, "columns": [DUAL | {"window": "auto"}]})
    assert sum(len(event["tokens"]) for event in events if event["type"] == "tokens") == 5


def check_looks(looks: list[dict], told: list[dict], splits: bool) -> None:
    """Of every token; the optimum keeps the budget and is no worse than a rule that keeps it too and splits no token."""
    assert [look["at"] for look in looks] == list(range(len(told)))
    for look, token in zip(looks, told, strict=True):
        assert look["token"]["id"] == token["id"]
        assert len({one["id"] for one in (look["token"], *look["rivals"])}) == 6
        if (best := look["optimum"]) is not None:
            assert best["mass"] <= best["budget"] + 1e-6
            if best["rule_mass"] <= best["budget"] and not splits:
                assert best["risk"] <= best["rule_risk"] * (1 + 1e-4) + 1e-9


def test_looks_are_what_the_rounds_say(served: Served, pair: kad.Pair) -> None:
    asked = {"method": "dual", "value": 0.3, "window": 3, "temperature": 1.3}
    looks = [e for e in served.ask({"prompt": QUESTION, "chat": True, "seed": 7, "new_tokens": 20, "columns": [asked]})
             if e["type"] == "look"]  # fmt: skip
    at, seen = 0, 0
    for round in pair.rounds(
        [{"role": "user", "content": QUESTION}], kad.dual(0.3), window=3, seed=7, max_new_tokens=20, do_sample=True, temperature=1.3
    ):  # fmt: skip
        for i in range(int(round.accepted[0])):
            one = looks[at + i]["token"]
            for name, masses in (("p", round.p), ("q", round.q), ("pi", round.pi), ("deferred", round.d)):
                assert masses is not None
                assert one[name] == pytest.approx(float(masses[0, i, one["id"]]), rel=1e-3, abs=1e-6)
            seen += 1
        at += int(round.accepted[0]) + int(round.token[0] >= 0)
    assert seen > 5


def test_what_one_method_cannot_the_others_do(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stage.begin

    def half(self: Stage, question, column) -> Watched:
        if column.temperature:
            raise ValueError("not at this temperature.")
        return whole(self, question, column)

    monkeypatch.setattr(Stage, "begin", half)
    columns = [{"method": "dual", "temperature": 1.0}, {"method": "dual"}]
    events = served.ask({"prompt": QUESTION, "new_tokens": 2, "columns": columns})
    assert events[0] == {"type": "failed", "k": 0, "sentence": "not at this temperature."}
    assert {e["type"] for e in events if e.get("k") == 1} == {"begun", "tokens", "totals", "look", "looked"}


def test_two_vocabularies_are_written_and_not_read_again(pair: kad.Pair, tmp_path: Path) -> None:
    """Where the proxy has other ids, no text can be given to both models once more; that is said, and the answer stands."""
    pair.tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    data = json.loads(file.read_text())
    words = data["model"]["vocab"]
    words["apples"], words["pens"] = words["pens"], words["apples"]
    file.write_text(json.dumps(data))
    other = tokenizer_at(tmp_path)
    stage = Stage(Checkpoints({"base": pair.base, "proxy": pair.proxy}, pair.tokenizer, other), 50)
    events = list(
        stage.answers(question_of({"prompt": "2 + 2", "new_tokens": 3, "columns": [DUAL | {"window": 2}]}, 50))
    )
    assert [event["type"] for event in events][-3:] == ["totals", "unread", "end"]
    assert events[-2]["sentence"].startswith("the proxy reads a prompt of its own")


def test_when_time_is_up_the_optimum_is_not_asked_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "SECONDS_FOR_OPTIMA", 1e-9)
    events = served.ask({"prompt": QUESTION, "new_tokens": 3, "columns": [DUAL, {"method": "p"}]})
    looks = [(event["k"], event["late"], event["optimum"] is None) for event in events if event["type"] == "look"]
    assert looks == [(0, False, False), *[(0, True, True)] * 2, *[(1, False, True)] * 3]


def line_is_empty(served: Served, seconds: float = 5.0) -> bool:
    """Whether a further visitor is served without waiting, within that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        events = served.ask({"prompt": QUESTION, "new_tokens": 1, "columns": [{"method": "dual"}]})
        if all(event["type"] != "waiting" for event in events):
            return True
    return False


def test_closing_the_tab_stops_the_generation(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []
    told = Watched.of_round
    monkeypatch.setattr(Watched, "of_round", lambda self, round: rounds.append(1) or told(self, round))
    connection, response = served.open(ENDLESS)
    events = events_of(response)
    assert [next(events)["type"] for _ in range(6)] == ["begun", *["tokens"] * 5]
    response.close()
    connection.close()
    assert line_is_empty(served)
    written = len(rounds)
    assert written < 1000
    time.sleep(0.3)
    assert len(rounds) == written


def test_visitors_wait_in_line_and_may_leave_it(served: Served) -> None:
    first, reading = served.open(ENDLESS)
    next(events_of(reading))
    second, waiting = served.open(ENDLESS)
    third, last = served.open({"prompt": QUESTION, "new_tokens": 1, "columns": [{"method": "dual"}]})
    assert next(events_of(waiting)) == {"type": "waiting", "before": 1}
    events = events_of(last)
    assert next(events) == {"type": "waiting", "before": 2}
    waiting.close()
    second.close()
    assert next(events) == {"type": "waiting", "before": 1}
    reading.close()
    first.close()
    assert next(event["type"] for event in events) == "begun"
    third.close()


def test_who_does_not_read_loses_the_turn(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def much(self: Stage, question) -> Iterator[dict]:
        try:
            while True:
                yield {"type": "much", "of": "it" * 500_000}
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(server, "PATIENCE", 0.2)
        patch.setattr(Stage, "answers", much)
        connection, _ = served.open(ENDLESS)
        assert ended.wait(20)
    assert line_is_empty(served)
    connection.close()


def test_two_hundred_requests_hold_no_memory(served: Served) -> None:
    told = {"prompt": "count 3", "new_tokens": 1, "columns": [{"method": "dual", "window": 1, "temperature": 1.0}]}

    def held() -> tuple[int, int]:
        gc.collect()
        objects = gc.get_objects()
        return len(objects), sum(type(x) is torch.Tensor for x in objects)

    for _ in range(5):
        served.ask(told)
    objects, tensors = held()
    for seed in range(200):
        served.ask(told | {"seed": seed})
    now = held()
    assert now[1] <= tensors
    assert now[0] - objects < 200


WRONG = [
    ([], "a question is a mapping of names to values, got []."),
    ({"prompt": " ", "columns": [DUAL]}, "the prompt is empty."),
    ({"prompt": 3, "columns": [DUAL]}, "the prompt must be a text, got 3."),
    ({"prompt": "a" * 20_001, "columns": [DUAL]}, "the prompt has 20,001 characters; at most 20,000 are read here."),
    ({"prompt": "a", "columns": []}, "a question has one to 4 methods."),
    ({"prompt": "a", "columns": [DUAL] * 5}, "a question has one to 4 methods."),
    ({"prompt": "a", "columns": [DUAL], "seeds": 3}, "a question has no 'seeds'; it has prompt, chat, system"),
    ({"prompt": "a", "columns": [DUAL], "seed": 0.5}, "the seed must be a whole number, got 0.5."),
    ({"prompt": "a", "columns": [DUAL], "new_tokens": 0}, "the number of new tokens must be ≥ 1, got 0."),
    ({"prompt": "a", "columns": [DUAL], "new_tokens": 9999}, "at most 4000 new tokens are written here, got 9999."),
    ({"prompt": "a", "columns": [DUAL], "system": "b"}, "a system prompt needs the chat template;"),
    ({"prompt": "a", "columns": [{"method": "mine.Target"}]}, "the method is one of p, q*, p*, nudging"),
    ({"prompt": "a", "columns": [DUAL | {"value": 7}]}, "Dual threshold must lie in [0, 1]"),
    ({"prompt": "a", "columns": [DUAL | {"value": None, "window": -1}]}, "the window must be ≥ 0, got -1."),
    ({"prompt": "a", "columns": [DUAL | {"window": 99}]}, "the window must be at most 32 drafts, got 99."),
    ({"prompt": "a", "columns": [DUAL | {"temperature": 9}]}, "the temperature must lie in [0, 5], got 9."),
    ({"prompt": "a", "columns": [DUAL | {"temperature": "hot"}]}, "the temperature must be a number, got 'hot'."),
    ({"prompt": "a", "columns": [DUAL | {"placement": "here"}]}, "placement must be one of models, draws, mixture"),
    ({"prompt": "a", "columns": [{"method": "mixture", "loss": "os.system", "solver": "primal"}]}, "the loss is one of Logistic"),
    ({"prompt": "a", "columns": [{"method": "mixture", "loss": "Nudging", "solver": "threshold"}]}, "Dual(threshold=λ) needs a loss"),
]  # fmt: skip


def test_bad_questions_are_refused_in_words(served: Served) -> None:
    for told, sentence in WRONG:
        status, words = served.refused(told)
        assert (status, words.startswith(sentence)) == (400, True), words
    assert served.refused(b"{") == (400, "a question must be JSON.")
    assert served.refused(b"[" * 150_000) == (400, "a question must be JSON.")
    assert served.refused(b" " * 300_000) == (413, "a question has at most 200,000 bytes.")
    assert served.refused({}, "text/plain") == (415, "a question comes as application/json.")


def test_a_full_line_is_said(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_WAITING", 0)
    told = {"prompt": "a", "columns": [DUAL]}
    assert served.refused(told) == (503, "0 visitors wait already; come back later.")


def test_the_other_addresses(served: Served) -> None:
    status, body = served.get("/about")
    about = json.loads(body)
    assert (status, about["embedded"], about["chat"], about["tokens"]) == (200, True, True, 100)
    assert "Nudging" not in about["solvers"]["threshold"]["losses"]
    assert "Nudging" in about["solvers"]["primal"]["losses"]
    assert json.loads(served.get("/example?n=3")[1]) == {"prompt": served.stage.example(3)}
    assert served.get("/example?n=x")[0] == 400
    assert served.get("/nothing")[0] == 404
    assert served.get("/about", host="a-name-of-somebody-else.example")[0] == 400
    assert served.get("/about", host="localhost")[0] == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "-1"], "--port must lie in [0, 65535], got -1."),
        (["--max-new-tokens", "0"], "--max-new-tokens must be ≥ 1, got 0."),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8765: "),
        (["--base", "nowhere"], "give both --base and --proxy, or neither for the embedded pair."),
    ],
)
def test_the_command_refuses_in_words(capsys, options: list[str], sentence: str) -> None:
    port = [] if "--port" in options or "--host" in options else ["--port", "0"]
    assert main(["play", *options, *port]) in (1, 2)
    assert sentence in capsys.readouterr().err


def test_the_command_serves_until_it_is_interrupted(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def interrupted(self, sockets) -> None:
        asked.append(sockets[0].getsockname())
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", interrupted)
    assert main(["play", "--port", "0"]) == 0
    assert capsys.readouterr().out == f"kad: open http://127.0.0.1:{asked[0][1]}/ in a browser; Ctrl-C ends it.\n"


def test_without_the_extra_it_says_what_to_install(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kad.extras.find_spec", lambda name: None)
    assert main(["play", "--port", "0"]) == 1
    assert "kad play needs starlette: pip install 'kad-align[play]'." in capsys.readouterr().err
