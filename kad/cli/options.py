"""What every command can be told: one frozen dataclass each, which `kad.cli.commands` has read from the shell and from files."""

from __future__ import annotations

from argparse import SUPPRESS
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ..defaults import EVALUATED_AT, NEW_TOKENS, PAPER_SENTENCE, THRESHOLD, WINDOW, Family
from .groups import (
    METHOD_TEXTS,
    OWN,
    VARIABLE,
    Chosen,
    Drawn,
    Dtype,
    Fast,
    FourModels,
    Pairing,
    Prompted,
    TwoModels,
    Window,
    argument,
    option,
)
from .names import PRESETS_SHIPPED, TASKS_SHIPPED

if TYPE_CHECKING:  # at runtime `kad.cli.commands` says what these are, which need torch
    from ..losses import Loss
    from ..mixture import Target
    from ..solvers import Solver


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Show on the embedded pair that the method works: a table, a picture and coloured examples."""

    runs: ClassVar[str] = "kad.cli.demo:show_demo"
    output: Path | None = option("The folder of results, by default a new one; a stopped run goes on there.")
    quick: bool = option("Fewer problems and one seed, in about a minute.", False)
    full: bool = option("More parameters, and every method under one common filter too.", False)
    retrain: bool = option("First train the four models into --models (at most 15 minutes on two cores).", False)
    models: Path | None = option("Use the models in this folder instead of the shipped ones.")
    n: int | None = option("Number of held-out problems (default 400; with --quick 150).")
    seed: int = option("First sampling seed; with --retrain also the seed of the training.", 1)


@dataclass(frozen=True, kw_only=True)
class Generate(Fast, Chosen, TwoModels, Drawn, Prompted):
    """Generate text from a large base model aligned by a small aligned one.

    The prompt is the argument, a file, or standard input. Without models it uses the embedded pair.
    """

    runs: ClassVar[str] = "kad.cli.generate:write_text"
    file: Path | None = option("Read the prompt from this file.")
    reference: str | None = option("The small base model q, for --target ImplicitReward.")
    chat: bool = option("Put the prompt through the aligned model's chat template.", False)
    proxy_chat: bool = option("Put the proxy's prompt alone through the chat template.", False)
    system: str | None = option("A system prompt (with --chat).")
    proxy_system: str | None = option("A system prompt that only the proxy reads (with --chat or --proxy-chat).")
    template_option: tuple[str, ...] = option(VARIABLE, ())
    window: Window = option("Speculative drafts a round; 0 is plain decoding; auto chooses while running.", WINDOW)
    stream: bool = option("Print tokens as they are decided, coloured by origin.", False)
    json: bool = option("Print one JSON object with the text, its tokens and the totals.", False)


@dataclass(frozen=True, kw_only=True)
class Solve(TwoModels, Prompted):
    """Compare every solver with the exact optimum, on one distribution or on many steps.

    The distribution comes from a model and a prompt (without models: the embedded pair), a file, or a named family.
    """

    runs: ClassVar[str] = "kad.cli.solve:compare_solvers"
    file: Path | None = option("Read probabilities from this .npy, .pt or .csv file: a vector, or one row per step.")
    logits: bool = option("The file holds logits, not probabilities.", False)
    family: Family | None = option("A named distribution instead.")
    size: int = option("Tokens of the family.", 151_936)
    exponent: float = option("Of zipf.", 1.1)
    spread: float = option("Of the logits of gaussian and peaked; uniform has a hundredth of it.", 3.0)
    peak: float = option("Mass of the heaviest token of peaked.", 0.9)
    every_position: bool = option("All positions of the prompt, not just the last.", False)
    temperature: float = option("Divides the logits.", 1.0)
    loss: Loss | None = option(f"The loss, {OWN}; by default the logistic one.")
    solver: Solver | None = option(f"One more solver to compare, {OWN}.")
    budget: tuple[float, ...] = option("A budget b.", (0.1, 0.3, 0.6, 0.9))
    time_limit: float = option("Seconds that Exact and OrTools may take a step.", 1.0)
    seed: int = option("Of the random families.", 0)
    plots: Path | None = option("Draw frontier, dual, step and, of several steps, unfilled.png into this new folder.")
    json: bool = option("Print one JSON object instead of the table.", False)


@dataclass(frozen=True, kw_only=True)
class Gaps(TwoModels, Prompted):
    """How far rules are from the exact optimum over the steps of texts: at the mass that each defers, and at its budget.

    The texts are replies to prompts, written now, or those of stored results. Without models it uses the embedded pair.
    """

    runs: ClassVar[str] = "kad.cli.gaps:measure_gaps"
    file: Path | None = option("Read prompts from this file, one a line; so are those of standard input.")
    results: Path | None = option("Take the texts of this folder of kad eval; p is computed again, one pass a text.")
    method: tuple[str, ...] = option("A rule, as for kad eval; by default four, with --results each text's own.", ())
    along: str | None = option("The method whose texts they are (default dual:0.4, with --results all).")
    loss: Loss | None = option(f"What keeping a token costs: a loss, {OWN}; by default the logistic one.")
    budget: float | None = option("For rules without one, such as the dual; steps over it are counted, not compared.")
    chat: bool = option("Put the prompts through the chat template.", False)
    data: Path | None = option("With --results: a folder with the tasks' files.")
    task: tuple[str, ...] = option("With --results: a task that is a YAML file or an import path.", ())
    n: int = option("Steps of every group of texts, drawn at random; 0 is all of them.", 200)
    seed: int = option("Of the texts and of the steps.", 0)
    temperature: float | None = option(f"Of prompts' replies; by default the aligned model's, else {EVALUATED_AT}.")
    greedy: bool = option("Write the replies greedily.", False)
    max_new_tokens: int | None = option(f"The longest reply; by default the aligned model's, else {NEW_TOKENS}.")
    time_limit: float = option("Seconds that Exact may take for a step and a budget.", 1.0)
    plots: Path | None = option("Write the figure gaps.png, for several tasks one each, to this new folder.")
    output: Path | None = option("Write every step's numbers to this new .csv file.")
    json: bool = option("Print one JSON object instead of the tables.", False)


@dataclass(frozen=True, kw_only=True)
class Bench(Fast, TwoModels):
    """Measure kad's speed beside its peers, in alternating rounds on the same models, prompts and verdicts.

    Peers: Hugging Face's generate on the base alone, its assisted decoding and its prompt lookup, the textbook loop that evaluates
    both models at every step, vLLM where it is installed, and llama.cpp where it is given. Ratios have 95% intervals.
    """

    runs: ClassVar[str] = "kad.cli.bench:measure_speed"
    dtype: Dtype = option("Of the weights; by default bfloat16 on a GPU and float32 on a CPU.", "auto")
    pair: tuple[str, ...] = option(
        "Random weights at the shapes of olmo2, qwen3 or small (134 M + 13 M, for a CPU); several one after the other.",
        ("small",),
    )
    batch: tuple[int, ...] = option("A batch size.", (1, 8))
    gamma: tuple[Window, ...] = option("A window or auto.", (0, 3, 5, "auto"))
    contender: tuple[Literal["hf", "assisted", "lookup", "two-model", "kad-base", "kad", "vllm"], ...] = option(
        "Only these take part.", ()
    )
    twice: bool = option("Measure everybody as two contenders: what else is found where nothing differs?", False)
    new_tokens: int = option("Tokens to emit per row.", 32)
    prompt_tokens: int = option("Length of the random prompts.", 32)
    compile: bool = option("Compile the passes of all who can.", False)
    pack: bool = option(
        "Pack the weights for a CPU (kad.pack_weights), for everybody, where passes become faster.", False
    )
    rounds: int = option("Timed rounds, after one that warms up.", 8)
    turns: int = option("Runs of everybody in one round, forwards and backwards.", 4)
    acceptance: float | None = option("Accept drafts at this rate (SYNTHETIC; 0.78 for random weights).")
    deferral: float = option("With a synthetic acceptance: the share of last tokens that is deferred.", 0.2)
    greedy: bool = option("Greedy decoding, with the acceptance that the models give.", False)
    target: Target | None = option(f"Instead of the dual at {THRESHOLD}: a target, {OWN}.")
    threads: int | None = option("CPU threads.")
    llama_bench: Path | None = option("llama.cpp's program llama-bench, to take part too (with --gguf).")
    gguf: Path | None = option("The base in llama.cpp's format.")
    output: Path | None = option("Write results.json, speed.md and speed.png to this folder.")
    seed: int = option("Of weights, prompts and verdicts.", 0)


@dataclass(frozen=True, kw_only=True)
class OnTasks(FourModels):
    """What a search or a run over tasks is asked with."""

    n: int | None = option("Questions of every task, from the first on; by default all.")
    batch: int = option("Questions decoded at once.", 64)
    template_option: tuple[str, ...] = option(VARIABLE, ())
    seeds: int = option("How many samples of every question.", 1)
    temperature: float = option("Of sampling.", EVALUATED_AT)
    new_tokens: int | None = option("The longest reply; by default the task's own.")
    placement: tuple[str, ...] = option("Where the temperature enters: models, draws or mixture.", ("models",))
    task: tuple[str, ...] = option(f"{', '.join(TASKS_SHIPPED)}, a YAML file or an import path.", ())


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Who answers; by default this process."""

    workers: int | None = option("Answer in so many processes, by Ray: a GPU each, or a share of the cores.")
    ray: str | None = option("With --workers: on this cluster, host:port or auto; by default on this machine.")


@dataclass(frozen=True, kw_only=True)
class Reported(Fast, Spread):
    """What writes the answers, and what becomes of them."""

    engine: Literal["kad", "vllm"] = option(
        "What decodes: kad's own loop, or vLLM, which holds the models itself.", "kad"
    )
    vllm_option: tuple[str, ...] = option("An option of vLLM's engine, such as tensor_parallel_size=2.", ())

    output: Path = option("The folder of results.", Path("kad-eval"))
    traces: int = option("Questions of every task whose first answers the report shows by token.", 3)
    dry_run: bool = option("Say what would run, and what it would take, and stop.", False)
    no_report: bool = option("Write no report.html.", False)


@dataclass(frozen=True, kw_only=True)
class Eval(Reported, OnTasks):
    """Score methods on tasks, with intervals and a report; a run that was stopped goes on where it was.

    Without models it uses the embedded pair and its own task. Results are appended to the output folder: other
    configurations join those that are there, and what was asked is not asked again.
    """

    runs: ClassVar[str] = "kad.cli.evaluate:evaluate"
    method: tuple[str, ...] = option(f"{METHOD_TEXTS}. By default all that the models allow.", ())
    window: tuple[int, ...] = option("Speculative drafts a round.", (0,))
    greedy: bool = option("Decode greedily instead, once.", False)
    top_p: float | None = option("One common nucleus filter on every model, before the rule.")
    top_k: int | None = option("One common top-k filter.")
    min_p: float | None = option("One common min-p filter.")
    control: float | None = option("Run everything once more under a common min-p filter of this value.")
    shots: int = option("Exemplary questions in the prompt, taken from the end of the data.", 0)
    shuffle: int = option("Seed of the order of options.", 0)
    part: str = option("all questions, dev (one in five, by a hash) or test (the others).", "all")
    preset: str | None = option(f"{' or '.join(PRESETS_SHIPPED)}: the paper's models, tasks and grid.")
    protocol: str = option(f"kad or paper. {PAPER_SENTENCE}", "kad")


@dataclass(frozen=True, kw_only=True)
class Sweep(Reported, FourModels):
    """Run a plan from a YAML file: tasks, and blocks of methods, windows, placements, temperatures and filters."""

    runs: ClassVar[str] = "kad.cli.evaluate:sweep"
    plan: Path = argument("The YAML file; options given here go before what it says.")
    n: int | None = option("Questions of every task.")
    seeds: int | None = option("How many samples of every question.")
    batch: int | None = option("Questions decoded at once (default 64).")
    output: Path = option("The folder of results.", Path("kad-sweep"))


@dataclass(frozen=True, kw_only=True)
class Tune(Spread, OnTasks):
    """Choose a method's parameter on development questions, then the window for speed; test questions are not asked."""

    runs: ClassVar[str] = "kad.cli.tune:tune_method"
    method: str = option("A method with a parameter, as for kad eval.", "dual")
    trials: int = option("The budget: settings to try; those of an earlier search of the same in the folder count.", 12)
    low: float | None = option("The lowest value of the parameter; by default the method's own.")
    high: float | None = option("The highest.")
    seed: int = option("Of the search.", 0)
    output: Path = option("The folder of the search; a search that was stopped goes on there.", Path("kad-tune"))


@dataclass(frozen=True, kw_only=True)
class Serve(Chosen, Pairing):
    """Serve a pair by vLLM's OpenAI server: completions, chat, streams, log-probabilities of what is sampled.

    A request may name another of kad's methods: "vllm_xargs": {"kad": "primal:0.9"}. What stands after -- is handed to vLLM, as
    in `kad serve --window 0 -- --max-num-seqs 64`. Without models it serves the embedded pair.
    """

    runs: ClassVar[str] = "kad.cli.serve:serve"
    reference: str | None = option("The small base model q, for implicit reward.")
    window: int = option("Speculative drafts a round; 0 is plain decoding.", WINDOW)
    name: str = option("What clients call the model.", "kad")
    host: str | None = option("Where to listen; by default on every interface.")
    port: int = option("Where to listen.", 8000)
    tensor_parallel: int = option("Devices over which every model's weights are spread.", 1)
    dtype: Dtype = option(
        "Of the weights: auto, which is the base checkpoint's own, float32, bfloat16 or float16.", "auto"
    )
    rest: tuple[str, ...] = option(SUPPRESS, ())


@dataclass(frozen=True, kw_only=True)
class Report:
    """Grade the texts of a folder of results again, and compute every number and figure from them."""

    runs: ClassVar[str] = "kad.cli.evaluate:report_again"
    folder: Path = argument("What kad eval or kad sweep wrote.")
    against: str = option('Whom the others are compared with: a name, or a label such as "dual λ=0.4".', "dual")
    task: tuple[str, ...] = option("A task of your own (a YAML file, an import path) that is to grade its texts.", ())
    json: bool = option("Print the numbers as JSON, and write nothing.", False)
