"""``kad generate``."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from ..bounded import read_text
from ..checkpoints import load_checkpoints
from ..decoding.colour import ColourStreamer, coloured, pieces
from ..decoding.generate import generate
from ..decoding.packed import pack_weights
from ..decoding.trace import Trace
from ..defaults import BUDGET, THRESHOLD
from ..losses import Logistic
from ..mixture import Mixture, Placement, Target
from ..solvers import Dual, Primal
from ..terminal import Console, generated, json_text
from ..vocabulary import special_ids
from .groups import Chosen, Drawn
from .options import Generate
from .variables import variables


def write_text(o: Generate) -> None:
    """``kad generate``."""
    check(o)
    text = read_prompt(o.prompt, o.file)
    loaded = load_checkpoints(o.places, o.dtype, o.device)
    models, tokenizer = loaded.models, loaded.tokenizer
    if o.pack:
        models = {role: pack_weights(model) for role, model in models.items()}
    console = Console()
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


def check(o: Generate) -> None:
    """One sentence about options that do not go together."""
    if o.window != "auto" and o.window < 0:
        raise ValueError(f"--window must be ≥ 0 (the number of drafts a round) or auto, got {o.window}.")
    if o.greedy and o.sample:
        raise ValueError("choose one of --greedy and --sample.")
    if o.stream and o.json:
        raise ValueError("choose one of --stream and --json.")
    if o.chat and o.proxy_chat:
        raise ValueError("choose one of --chat (both models) and --proxy-chat (the proxy alone).")
    if (o.system and not o.chat) or (o.proxy_system and not (o.chat or o.proxy_chat)):
        raise ValueError("--system needs --chat; --proxy-system needs --chat or --proxy-chat.")
    if o.template_option and not (o.chat or o.proxy_chat):
        raise ValueError("--template-option needs --chat or --proxy-chat.")


def drawing_of(o: Drawn) -> dict[str, Any]:
    """The settings that were given. Whoever names one of sampling wants to sample."""
    drawn, others = ("temperature", "top_p", "top_k", "min_p"), ("repetition_penalty", "max_new_tokens")
    given = {name: getattr(o, name) for name in (*drawn, *others) if getattr(o, name) is not None}
    if o.greedy or o.sample or given.keys() & set(drawn):
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


def read_prompt(prompt: str | None, file: Path | None) -> str:
    """The prompt from where the user put it."""
    if prompt is not None and file is not None:
        raise ValueError("give the prompt or --file, not both.")
    if file is not None:
        prompt = read_text(Path(file), f"the prompt from {file}")
    text = (sys.stdin.read() if prompt is None else prompt).rstrip("\n")
    if not text.strip():
        raise ValueError("the prompt is empty; give it as an argument, with --file, or on standard input.")
    return text


def chat_of(text: str, system: str | None) -> list[dict[str, str]]:
    """Chat messages of one user turn."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": text}]


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
