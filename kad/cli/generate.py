"""``kad generate``."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from rich.text import Text

from ..checkpoints import given_places, load_checkpoints
from ..checks import number, seed, whole
from ..decoding.colour import LEGENDS, ColourStreamer, coloured, pieces
from ..decoding.generate import generate
from ..decoding.packed import pack_weights
from ..decoding.trace import Trace
from ..defaults import BUDGET, THRESHOLD
from ..errors import asked
from ..losses import Logistic
from ..mixture import Mixture, Placement, Target
from ..solvers import Dual, Primal
from ..terminal import Console, generated, json_text, loading
from ..vocabulary import special_ids
from .groups import Chosen, Drawn
from .options import Generate
from .prompts import read_prompt
from .variables import variables
from .watching import Chat

DRAWN = ("temperature", "top_p", "top_k", "min_p")  # who names one of these samples


def write_text(o: Generate) -> None:
    """``kad generate``."""
    check(o)
    text = read_prompt(o.prompt, o.file)
    with loading(o.places):
        loaded = load_checkpoints(o.places, o.dtype, o.device)
        models, tokenizer = loaded.models, loaded.tokenizer
        if o.pack:
            models = {role: pack_weights(model) for role, model in models.items()}
    console, start = Console(), time.perf_counter()
    out = generate(
        models["base"], models["proxy"], chat_of(text, o.system) if o.chat else text,
        proxy_prompt=chat_of(text, o.proxy_system) if o.proxy_system or o.proxy_chat else None,
        target=choose_target(o, models.get("reference")), window=o.window, tokenizer=tokenizer,
        proxy_tokenizer=loaded.proxy_tokenizer, seed=o.seed, stop_strings=list(o.stop) or None, compile=o.compile,
        template=variables(o.template_option) if o.template_option else None,
        streamer=ColourStreamer(tokenizer, console) if o.stream else None, **drawing_of(o),
    )  # fmt: skip
    if o.json:
        print(json_text(told_as_json(out.trace, tokenizer)))
    elif not o.stream:
        ids = out.trace.emitted[0]
        generated(console, coloured(out.trace, tokenizer), tokenizer.decode(ids, skip_special_tokens=True))
    if not o.json:
        tell_totals(out.trace, time.perf_counter() - start, console.is_terminal)


def tell_totals(trace: Trace, seconds: float, shown: bool) -> None:
    """One line on the standard error; with the colours' names if the text has been ``shown`` in them."""
    count = int(trace.lengths.sum())
    parts = [f"{count} tokens in {seconds:.1f} s, {count / seconds:.0f} a second"]
    if trace.drafted:
        parts.append(f"{trace.accepted} of {trace.drafted} drafts accepted")
    if trace.deferral_rate == trace.deferral_rate:
        parts.append(f"{100 * trace.deferral_rate:.0f}% deferred")
    line = Text("; ".join(parts) + ".")
    if shown:
        line = Text("   ").join([line, *(name for origin, name in LEGENDS.items() if origin in origins_of(trace))])
    Console(stderr=True).print(line, soft_wrap=True)


def origins_of(trace: Trace) -> set[str]:
    return {token.origin for token in trace.tokens()}


@asked()
def check(o: Generate) -> None:
    """One sentence about options that do not go together."""
    if o.stream and o.json:
        raise ValueError("choose one of --stream and --json.")
    if o.chat and o.proxy_chat:
        raise ValueError("choose one of --chat (both models) and --proxy-chat (the proxy alone).")
    if (o.system and not o.chat) or (o.proxy_system and not (o.chat or o.proxy_chat)):
        raise ValueError("--system needs --chat; --proxy-system needs --chat or --proxy-chat.")
    if o.template_option and not (o.chat or o.proxy_chat):
        raise ValueError("--template-option needs --chat or --proxy-chat.")
    check_run(o)


@asked()
def check_run(o: Generate | Chat) -> None:
    """What `kad generate` and `kad chat` can know to be wrong before models are loaded."""
    if o.window != "auto" and o.window < 0:
        raise ValueError(f"--window must be ≥ 0 (the number of drafts a round) or auto, got {o.window}.")
    if o.greedy and o.sample:
        raise ValueError("choose one of --greedy and --sample.")
    variables(o.template_option)
    check_drawing(o)
    choose_target(o, o.reference or ("the embedded pair's" if o.base is None else None))
    given_places(o.places)


def check_drawing(o: Drawn) -> None:
    """Numbers that no model need be loaded to refuse."""
    if o.temperature is not None and number("--temperature", o.temperature) <= 0:
        raise ValueError(
            f"--temperature must be above 0, got {o.temperature:g}; for the most probable token use --greedy."
        )
    for name, value, low in (("--top-p", o.top_p, True), ("--min-p", o.min_p, False)):
        if value is not None:
            number(name, value, 0, 1, open_low=low)
    if o.repetition_penalty is not None:
        number("--repetition-penalty", o.repetition_penalty, 0, open_low=True)
    for name, count in (("--top-k", o.top_k), ("--max-new-tokens", o.max_new_tokens)):
        if count is not None:
            whole(name, count, 1)
    if o.seed is not None:
        seed(o.seed, "--seed")
    drawn = {name for name in DRAWN if getattr(o, name) is not None}
    if o.greedy and drawn:
        raise ValueError(
            f"--greedy draws nothing, so {', '.join(sorted('--' + n.replace('_', '-') for n in drawn))} would have no effect."
        )


def drawing_of(o: Drawn) -> dict[str, Any]:
    """The settings that were given. Whoever names one of sampling wants to sample."""
    others = ("repetition_penalty", "max_new_tokens")
    given = {name: getattr(o, name) for name in (*DRAWN, *others) if getattr(o, name) is not None}
    if o.greedy or o.sample or given.keys() & set(DRAWN):
        given["do_sample"] = not o.greedy
    return given


def told_as_json(trace: Trace, tokenizer: Any) -> dict[str, Any]:
    """For JSON: the text, its tokens and the totals."""
    ids, special = trace.emitted[0], special_ids(tokenizer)
    tokens = [
        {"id": t.id, "text": tokenizer.decode([t.id]) if t.id in special else piece, "origin": t.origin,
         "alpha": None if t.alpha != t.alpha else t.alpha, "accepted": t.accepted}
        for t, piece in zip(trace.tokens(), pieces(tokenizer, ids), strict=True)
    ]  # fmt: skip
    return {"text": tokenizer.decode(ids, skip_special_tokens=True), "tokens": tokens, "totals": trace.summary()}


def chat_of(text: str, system: str | None) -> list[dict[str, str]]:
    """Chat messages of one user turn."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": text}]


@asked()
def choose_target(o: Chosen, reference: Any) -> Target:
    """A target given whole, or the mixture of a loss and a solver."""
    if o.target is not None and (o.loss is not None or o.solver is not None):
        raise ValueError("give either --target or --loss and --solver, not both.")
    if o.target is not None:
        return with_shell_options(o.target, o.placement, reference)
    loss = o.loss if o.loss is not None else Logistic()
    by_threshold = loss.strict and not loss.reads_proxy
    solver = o.solver or (Dual(threshold=THRESHOLD) if by_threshold else Primal(BUDGET))
    return Mixture(loss, solver, o.placement)


def with_shell_options(target: Target, placement: Placement, reference: Any) -> Target:
    """The target with what the shell gives by other options, if it has such fields."""
    fields = {field.name for field in dataclasses.fields(target)} if dataclasses.is_dataclass(target) else set[str]()
    more: dict[str, Any] = {"placement": placement} if "placement" in fields and placement != "models" else {}
    if "reference" in fields and target.reference is None:
        if reference is None:
            name = type(target).__name__
            raise ValueError(f"--target {name} needs the small base model: --reference FOLDER_OR_ID.")
        more["reference"] = reference
    return dataclasses.replace(target, **more) if more else target  # type: ignore[type-var]
