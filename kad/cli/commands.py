"""The commands' parameters. jsonargparse reads them from these signatures and docstrings."""

from __future__ import annotations

import inspect
import json as json_module
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import docstring_parser
import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, get_loader, set_loader  # type: ignore[attr-defined]

from ..bounded import CHARACTERS, check_yaml, read_text
from ..errors import visible
from ..imports import named
from ..losses import Logistic, Loss
from ..mixture import Placement, Target
from ..solvers import Solver
from ..theory.families import Family
from ..version import VERSION
from .evaluation import evaluate, gaps, report, sweep, tune


def generate(
    prompt: str | None = None,
    file: Path | None = None,
    base: str | None = None,
    proxy: str | None = None,
    reference: str | None = None,
    chat: bool = False,
    proxy_chat: bool = False,
    system: str | None = None,
    proxy_system: str | None = None,
    template_option: list[str] | None = None,
    loss: Loss | None = None,
    solver: Solver | None = None,
    placement: Placement = "models",
    target: Target | None = None,
    window: int | Literal["auto"] = 3,
    max_new_tokens: int | None = None,
    greedy: bool = False,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    stop: list[str] | None = None,
    seed: int | None = None,
    dtype: str = "auto",
    device: str | None = None,
    compile: bool = False,
    pack: bool = False,
    stream: bool = False,
    json: bool = False,
) -> None:
    """Generate text from a large base model aligned by a small aligned one.

    The prompt is the argument, a file, or standard input. Without models it uses the embedded pair.

    Args:
        prompt: The prompt; standard input if neither it nor --file is given.
        file: Read the prompt from this file.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*: a folder or a hub id. Its tokenizer is used.
        reference: The small base model q, for --target ImplicitReward.
        chat: Put the prompt through the aligned model's chat template.
        proxy_chat: Put only the proxy's prompt through the chat template; the base reads the plain text.
        system: A system prompt (with --chat).
        proxy_system: A system prompt that only the proxy reads (with --chat or --proxy-chat).
        template_option: A variable for the chat template, such as enable_thinking=false; may be given several times.
        loss: Logistic, Squared, Brier, Perceptron, ZeroOne, ConfidenceBet, Nudging, or an import path.
        solver: Dual, Primal, Fractional, or an import path; by default the dual at 0.4 where the loss allows a threshold, else the primal at 0.9.
        placement: Where the temperature enters.
        target: Instead of a loss and a solver: Base, Proxy, ImplicitReward, or an import path.
        window: Speculative drafts a round; 0 is plain decoding; auto chooses while running.
        max_new_tokens: Tokens to generate at most; by default the aligned model's setting, else 256.
        greedy: Take the most probable token instead of sampling.
        temperature: Sampling temperature; by default the aligned model's setting, else 0.7.
        top_p: Nucleus filter on both models' distributions, before the rule.
        top_k: Top-k filter on both models' distributions, before the rule.
        min_p: Min-p filter on both models' distributions, before the rule.
        repetition_penalty: As in Hugging Face's generate, on both models.
        stop: A string that ends the text; may be given several times.
        seed: Seed of the sampling.
        dtype: Of the models' weights: auto, float32, bfloat16 or float16.
        device: Such as cpu or cuda; by default a GPU where there is one.
        compile: Compile both models' passes; pays for long texts on a GPU.
        pack: Lay the models' weights out anew for a CPU; pays for windows and batches there.
        stream: Print tokens as they are decided, coloured by origin.
        json: Print one JSON object with the text, its tokens and the totals.
    """
    from .generate import run

    settings = dict(locals())
    settings.pop("run")
    run(**settings)


def solve(
    prompt: str | None = None,
    file: Path | None = None,
    logits: bool = False,
    family: Family | None = None,
    size: int = 151_936,
    exponent: float = 1.1,
    spread: float = 3.0,
    peak: float = 0.9,
    base: str | None = None,
    proxy: str | None = None,
    every_position: bool = False,
    temperature: float = 1.0,
    loss: Loss | None = None,
    solver: Solver | None = None,
    budget: list[float] | None = None,
    time_limit: float = 1.0,
    seed: int = 0,
    plots: Path | None = None,
    json: bool = False,
    dtype: str = "auto",
    device: str | None = None,
) -> None:
    """Compare every solver with the exact optimum, on one distribution or on many steps.

    The distribution comes from a model and a prompt (without models: the embedded pair), a file, or a named family.

    Args:
        prompt: The prompt; standard input if neither it nor --file nor --family is given.
        file: Read probabilities from this .npy, .pt or .csv file: a vector, or one row per step.
        logits: The file holds logits, not probabilities.
        family: A named distribution instead: zipf, gaussian, peaked or uniform.
        size: Tokens of the family.
        exponent: Of zipf.
        spread: Standard deviation of the logits of gaussian and peaked; uniform has a hundredth of it.
        peak: Mass of the heaviest token of peaked.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*, for losses that read it and for the figure of one step.
        every_position: All positions of the prompt, not just the last.
        temperature: Divides the logits.
        loss: Logistic (default), Squared, Brier, Perceptron, ZeroOne, ConfidenceBet, Nudging, or an import path.
        solver: One more solver to compare, such as your own by its import path.
        budget: A budget b; may be given several times (default 0.1 0.3 0.6 0.9).
        time_limit: Seconds that Exact and OrTools may take a step.
        seed: Of the random families.
        plots: Write frontier.png, dual.png, step.png and, for several steps, unfilled.png to this new folder, for the first budget.
        json: Print one JSON object instead of the table.
        dtype: Of the models' weights: auto, float32, bfloat16 or float16.
        device: Such as cpu or cuda; by default a GPU where there is one.
    """
    from .solve import run

    settings = dict(locals())
    settings.pop("run")
    settings["loss"] = loss if loss is not None else Logistic()
    run(**settings)


def demo(
    output: Path | None = None,
    quick: bool = False,
    full: bool = False,
    retrain: bool = False,
    models: Path | None = None,
    n: int | None = None,
    seed: int = 1,
) -> None:
    """Show on the embedded pair that the method works: a table, a picture and coloured examples.

    Args:
        output: Folder for the answers, report.html, accuracy.png and acceptance.png; a run that was stopped goes on there. By default
            the first free kad-demo-N.
        quick: Fewer problems and one seed, in about a minute.
        full: More thresholds, budgets and margins, and every method under a common truncation filter.
        retrain: First train the four models from scratch into --models (at most 15 minutes on two cores).
        models: Use the models in this folder instead of the shipped ones.
        n: Number of held-out problems (default 400; with --quick 150).
        seed: First sampling seed; with --retrain also the seed of the training.
    """
    from .demo import run

    run(output=output, quick=quick, full=full, retrain=retrain, models=models, n=n, seed=seed)


def bench(
    pair: str = "small",
    base: str | None = None,
    proxy: str | None = None,
    batch: list[int] | None = None,
    gamma: list[int | Literal["auto"]] | None = None,
    new_tokens: int = 64,
    prompt_tokens: int = 32,
    rounds: int = 8,
    acceptance: float | None = None,
    deferral: float = 0.2,
    greedy: bool = False,
    target: Target | None = None,
    threads: int | None = None,
    dtype: str = "auto",
    device: str | None = None,
    compile: bool = False,
    pack: bool = False,
    output: Path | None = None,
    seed: int = 0,
) -> None:
    """Measure kad's speed beside its peers, in alternating rounds on the same models and prompts.

    Peers: Hugging Face's generate on the base alone, its assisted decoding, and the textbook loop that evaluates both
    models at every step. Ratios are medians over the rounds.

    Args:
        pair: Random weights at the shapes of olmo2 (13B + 1B), qwen3 (14B + 1.7B) or small (134 M + 13 M, for a CPU).
        base: A checkpoint instead.
        proxy: A checkpoint instead.
        batch: A batch size; may be given several times (default 1 4 16).
        gamma: A window or auto; may be given several times (default 0 1 3 5 7 auto).
        new_tokens: Tokens to emit per row.
        prompt_tokens: Length of the random prompts.
        rounds: Timed rounds, after one that warms up and one that counts.
        acceptance: Accept drafts at this rate, whatever the models say (SYNTHETIC; 0.78 for random weights).
        deferral: With a synthetic acceptance: the share of last tokens that is deferred.
        greedy: Greedy decoding, with the acceptance that the models give.
        target: Instead of the dual at 0.4.
        threads: CPU threads.
        dtype: Of the weights; by default bfloat16 on a GPU and float32 on a CPU.
        device: Such as cpu or cuda; by default a GPU where there is one.
        compile: Compile kad's passes; Hugging Face's stay as they are.
        pack: Pack the weights for a CPU (kad.pack_weights), for everybody.
        output: Write results.json and speed.png to this folder.
        seed: Of weights and prompts.
    """
    from ..bench.command import run_bench

    windows: list[int | str] = [*(gamma or [0, 1, 3, 5, 7, "auto"])]
    run_bench(
        pair=pair, base=base, proxy=proxy, batch=batch or [1, 4, 16], window=windows,
        new_tokens=new_tokens, prompt_tokens=prompt_tokens, rounds=rounds, acceptance=acceptance, deferral=deferral,
        greedy=greedy, target=target, threads=threads, dtype=dtype, device=device, compile=compile, pack=pack,
        output=output, seed=seed,
    )  # fmt: skip


PATH = re.compile(r"(?<![\w./-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w./-])")
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo, "generate": generate, "solve": solve, "gaps": gaps, "bench": bench, "eval": evaluate, "sweep": sweep,
    "tune": tune, "report": report,
}  # fmt: skip
POSITIONAL: dict[str, dict[str, Any]] = {
    "prompt": {"nargs": "?", "type": str},
    "plan": {"type": Path},
    "folder": {"type": Path},
}
REPEATED: dict[str, Callable[[str], object]] = {  # by the annotation of an option that may be given several times
    "list[str]": str, "list[int]": int, "list[float]": float,
    'list[int | Literal["auto"]]': lambda text: text if text == "auto" else int(text),
}  # fmt: skip


class Done(BaseException):
    """The parser has printed what was asked for, such as the help."""

    def __init__(self, status: int) -> None:
        self.status = status


class Parser(ArgumentParser):  # type: ignore[misc]
    """One whose end cannot be taken for that of a user's module, which may call `sys.exit` while it is imported."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            sys.stderr.write(visible(message, "\n"))
        raise Done(status)


def load_yaml(text: str) -> Any:
    """Options' values and configurations, within bounds; not YAML is what this cannot read."""
    try:
        if len(text) > CHARACTERS:
            raise ValueError(f"it is longer than {CHARACTERS:,} characters.")
        check_yaml(text)
        return yaml_loader(text)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


yaml_loader = get_loader("yaml")
set_loader("yaml", load_yaml, exceptions=(yaml.YAMLError,))


def parser() -> Parser:
    """The parser of all commands."""
    about = (
        "Align a large base language model at decoding time with a small aligned one. Beside the subcommands below, "
        "`kad lm-eval ...` runs lm-evaluation-harness with the model kad."
    )
    top = Parser(prog="kad", description=about, version=VERSION, exit_on_error=False)
    commands = top.add_subcommands()
    for name, function in COMMANDS.items():
        one = Parser(exit_on_error=False)
        one.add_argument("--config", action=ActionConfigFile, help="Read options from this YAML file.")
        texts = {p.arg_name: p.description for p in docstring_parser.parse(function.__doc__ or "").params}
        switches = {p.name for p in inspect.signature(function).parameters.values() if p.default is False}
        for key in POSITIONAL.keys() & texts:
            one.add_argument(key, help=texts[key], **POSITIONAL[key])
        one.add_function_arguments(function, as_group=False, skip={*switches, *POSITIONAL})
        for key in sorted(switches):
            one.add_argument(f"--{key}", action="store_true", help=texts[key])
        commands.add_subcommand(name, one, help=(function.__doc__ or "").strip().split("\n")[0])
    return top


def run(arguments: Sequence[str]) -> int:
    """Parse and call. Modules that the arguments name may come from the current folder."""
    top, given = parser(), gathered([underscored(a) for a in arguments])
    try:
        with named(*texts_of(given)):
            parsed = top.parse_args(given)
            options = top.instantiate(parsed)[parsed.subcommand]
    except Done as done:
        return done.status
    quiet()
    COMMANDS[parsed.subcommand](**{key: value for key, value in options.items() if key != "config"})
    return 0


def quiet() -> None:
    """No progress bars and hints of the loading library on the shell: our output is the text."""
    import huggingface_hub
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    huggingface_hub.utils.logging.set_verbosity(50)  # it logs every retry; the last word is ours


def texts_of(arguments: Sequence[str]) -> Iterator[str]:
    """Every word of the arguments, of the JSON in them and of the configurations that they name, that may be an import path."""
    for name, argument in zip(["", *arguments], arguments, strict=False):
        key, _, value = argument.partition("=") if argument.startswith("--") else (name, "", argument)
        yield from PATH.findall(value)
        if key == "--config" and value:
            try:
                yield from PATH.findall(read_text(Path(value), value))
            except ValueError:
                continue  # the parser says so in words of its own


def underscored(argument: str) -> str:
    """``--max-new-tokens=9`` is ``--max_new_tokens=9``."""
    name, equals, value = argument.partition("=")
    return (name.replace("-", "_").replace("__", "--", 1) + equals + value) if name.startswith("--") else argument


def gathered(arguments: list[str]) -> list[str]:
    """``--stop a --stop b`` is ``--stop ["a", "b"]``, whatever the strings would mean in YAML."""
    function = COMMANDS.get(arguments[0]) if arguments else None
    parameters = inspect.signature(function).parameters if function else {}
    kinds = {
        name: kind for name, p in parameters.items() for text, kind in REPEATED.items()
        if str(p.annotation).replace("'", '"').removesuffix(" | None") == text
    }  # fmt: skip
    kept, found = list[str](), {key: list[object]() for key in kinds}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        key = name.removeprefix("--")
        if key in found and name.startswith("--"):
            text = value if equals else next(rest, "")
            try:
                found[key].append(kinds[key](text))
            except ValueError:
                raise ValueError(f"--{key} takes a number, got {text!r}.") from None
        else:
            kept.append(argument)
    return kept + [f"--{key}={json_module.dumps(values)}" for key, values in found.items() if values]
