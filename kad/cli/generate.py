"""``kad generate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from ..bounded import read_text
from ..checkpoints import load_checkpoints
from ..decoding.colour import ColourStreamer, coloured, pieces
from ..decoding.generate import generate
from ..decoding.packed import pack_weights
from ..losses import Logistic, Loss
from ..mixture import ImplicitReward, Mixture, Placement, Target
from ..solvers import Dual, Primal, Solver
from ..terminal import Console, generated, json_text
from ..vocabulary import special_ids
from .variables import variables

THRESHOLD, BUDGET, TEMPERATURE = 0.4, 0.9, 0.7


def run(
    *, prompt: str | None, file: Path | None, base: str | None, proxy: str | None, reference: str | None, chat: bool,
    proxy_chat: bool, system: str | None, proxy_system: str | None, template_option: list[str] | None,
    loss: Loss | None, solver: Solver | None, placement: Placement,
    target: Target | None, window: int | Literal["auto"], max_new_tokens: int | None, greedy: bool, temperature: float | None,
    top_p: float | None, top_k: int | None, min_p: float | None, repetition_penalty: float | None,
    stop: list[str] | None, seed: int | None, dtype: str, device: str | None, compile: bool, pack: bool, stream: bool, json: bool,
) -> None:  # fmt: skip
    """See `kad.cli.commands.generate`."""
    if window != "auto" and window < 0:
        raise ValueError(f"--window must be ≥ 0 (the number of drafts a round) or auto, got {window}.")
    if stream and json:
        raise ValueError("choose one of --stream and --json.")
    if chat and proxy_chat:
        raise ValueError("choose one of --chat (both models) and --proxy-chat (the proxy alone).")
    if (system and not chat) or (proxy_system and not (chat or proxy_chat)):
        raise ValueError("--system needs --chat; --proxy-system needs --chat or --proxy-chat.")
    if template_option and not (chat or proxy_chat):
        raise ValueError("--template-option needs --chat or --proxy-chat.")
    text = read_prompt(prompt, file)

    loaded = load_checkpoints({"base": base, "proxy": proxy, "reference": reference}, dtype, device)
    models, tokenizer = loaded.models, loaded.tokenizer
    if pack:
        models = {role: pack_weights(model) for role, model in models.items()}
    chosen = choose_target(target, loss, solver, placement, models.get("reference"))
    console = Console()
    options: dict[str, Any] = {
        "top_p": top_p, "top_k": top_k, "min_p": min_p, "repetition_penalty": repetition_penalty,
        "max_new_tokens": max_new_tokens,
    }  # fmt: skip
    options = {key: value for key, value in options.items() if value is not None}
    options["do_sample"] = not greedy
    if temperature is None and not greedy and models["proxy"].generation_config.temperature is None:
        temperature = TEMPERATURE
    if temperature is not None:
        options["temperature"] = temperature
    messages = chat_of(text, system) if chat else text
    out = generate(
        models["base"], models["proxy"], messages,
        proxy_prompt=chat_of(text, proxy_system) if proxy_system or proxy_chat else None, target=chosen, window=window,
        tokenizer=tokenizer, proxy_tokenizer=loaded.proxy_tokenizer, seed=seed, stop_strings=stop, compile=compile,
        template=variables(template_option) if template_option else None,
        streamer=ColourStreamer(tokenizer, console) if stream else None,
        **options,
    )  # fmt: skip
    ids = out.trace.emitted[0]
    if json:
        special = special_ids(tokenizer)
        tokens = [
            {"id": t.id, "text": tokenizer.decode([t.id]) if t.id in special else piece, "origin": t.origin,
             "alpha": None if t.alpha != t.alpha else t.alpha, "accepted": t.accepted}
            for t, piece in zip(out.trace.tokens(), pieces(tokenizer, ids), strict=True)
        ]  # fmt: skip
        text = tokenizer.decode(ids, skip_special_tokens=True)
        print(json_text({"text": text, "tokens": tokens, "totals": out.trace.summary()}))
    elif not stream:
        generated(console, coloured(out.trace, tokenizer), tokenizer.decode(ids, skip_special_tokens=True))


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


def choose_target(
    target: Target | None, loss: Loss | None, solver: Solver | None, placement: Placement, reference: Any
) -> Target:
    """A target given whole, or the mixture of a loss and a solver."""
    if target is not None:
        if loss is not None or solver is not None:
            raise ValueError("give either --target or --loss and --solver, not both.")
        if isinstance(target, ImplicitReward):
            if reference is None:
                raise ValueError("--target ImplicitReward needs the small base model: --reference FOLDER_OR_ID.")
            return ImplicitReward(reference, target.strength, placement)
        return target
    loss = loss if loss is not None else Logistic()
    if solver is None:
        by_threshold = loss.strict and not loss.reads_proxy
        solver = Dual(threshold=THRESHOLD) if by_threshold else Primal(BUDGET)
    return Mixture(loss, solver, placement)
