"""The signatures of ``kad eval``, ``kad sweep``, ``kad tune``, ``kad report`` and ``kad gaps``; their docstrings are the help texts."""

from __future__ import annotations

from pathlib import Path

from ..losses import Loss


def evaluate(
    task: list[str] | None = None,
    method: list[str] | None = None,
    base: str | None = None,
    proxy: str | None = None,
    reference: str | None = None,
    aligned: str | None = None,
    data: Path | None = None,
    n: int | None = None,
    seeds: int = 1,
    window: list[int] | None = None,
    placement: list[str] | None = None,
    temperature: float = 0.7,
    greedy: bool = False,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    control: float | None = None,
    shots: int = 0,
    shuffle: int = 0,
    part: str = "all",
    new_tokens: int | None = None,
    template_option: list[str] | None = None,
    batch: int = 64,
    preset: str | None = None,
    protocol: str = "kad",
    dtype: str = "auto",
    device: str | None = None,
    compile: bool = False,
    pack: bool = False,
    output: Path = Path("kad-eval"),
    traces: int = 3,
    dry_run: bool = False,
    no_report: bool = False,
) -> None:
    """Score methods on tasks, with intervals and a report; a run that was stopped goes on where it was.

    Without models it uses the embedded pair and its own task. Results are appended to the output folder: other
    configurations join those that are there, and what was asked is not asked again.

    Args:
        task: gsm8k, svamp, math500, arc, csqa, truthfulqa, mmlu, embedded, a YAML file or an import path; may be given several times.
        method: p, q*, p*, nudging, implicit-reward, dual, primal, fractional, confidence-bet, cascade-chow, -diff, -opt, -token-v1,
            -token-v2, -token-v3, ensemble, with a value or several as in dual:0.3,0.4; any loss with any solver, as in
            "Squared*primal:0.5,0.9" or "mine.MyLoss*dual,exact:0.5"; or a target's import path, as in mine.MyTarget:0.5,1. May be
            given several times. By default all of kad's own that the models allow.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*: a folder or a hub id. Its chat template is used for both.
        reference: The small base model q, for implicit-reward.
        aligned: The large aligned model, for p*.
        data: A folder with the tasks' files; by default they come from the hub.
        n: Questions of every task, from the first on; by default all.
        seeds: How many samples of every question.
        window: Speculative drafts a round (default 0); may be given several times.
        placement: Where the temperature enters: models (default), draws or mixture; may be given several times.
        temperature: Of sampling.
        greedy: Decode greedily instead, once.
        top_p: One common nucleus filter on every model, before the rule.
        top_k: One common top-k filter.
        min_p: One common min-p filter.
        control: Run everything once more under a common min-p filter of this value.
        shots: Exemplary questions in the prompt, taken from the end of the data.
        shuffle: Seed of the order of options.
        part: all questions, dev (one in five, by a hash) or test (the others).
        new_tokens: The longest reply; by default the task's own.
        template_option: A variable for the chat template, such as enable_thinking=false; may be given several times.
        batch: Questions decoded at once.
        preset: olmo2 or qwen3: the paper's models, tasks and grid.
        protocol: kad, or paper: the paper's tasks in its turns, options in the data's order, at most 1,024 tokens, no thinking, and
            where no methods are named its grid. Results of either are never counted with those of the other.
        dtype: Of the models' weights: auto, float32, bfloat16 or float16.
        device: Such as cpu or cuda; by default a GPU where there is one.
        compile: Compile both models' passes.
        pack: Lay the models' weights out anew for a CPU.
        output: The folder of results.
        traces: Of so many questions of every task, the tokens of every method's first answer for the report's explorer.
        dry_run: Say what would run, and what it would take, and stop.
        no_report: Write no report.html.
    """
    from .evaluate import run

    settings = dict(locals())
    settings.pop("run")
    run(**settings)


def sweep(
    plan: Path,
    base: str | None = None,
    proxy: str | None = None,
    reference: str | None = None,
    aligned: str | None = None,
    data: Path | None = None,
    n: int | None = None,
    seeds: int | None = None,
    batch: int | None = None,
    dtype: str = "auto",
    device: str | None = None,
    compile: bool = False,
    pack: bool = False,
    output: Path = Path("kad-sweep"),
    traces: int = 3,
    dry_run: bool = False,
    no_report: bool = False,
) -> None:
    """Run a plan from a YAML file: tasks, and blocks of methods, windows, placements, temperatures and filters.

    Args:
        plan: The YAML file; options given here go before what it says.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*.
        reference: The small base model q.
        aligned: The large aligned model p*.
        data: A folder with the tasks' files.
        n: Questions of every task.
        seeds: How many samples of every question.
        batch: Questions decoded at once (default 64).
        dtype: Of the models' weights.
        device: Such as cpu or cuda.
        compile: Compile both models' passes.
        pack: Lay the models' weights out anew for a CPU.
        output: The folder of results.
        traces: Of so many questions of every task, the tokens of every method's first answer for the report's explorer.
        dry_run: Say what would run, and stop.
        no_report: Write no report.html.
    """
    from .evaluate import run_plan

    settings = dict(locals())
    settings.pop("run_plan")
    run_plan(**settings)


def tune(
    task: list[str] | None = None,
    method: str = "dual",
    trials: int = 12,
    placement: list[str] | None = None,
    base: str | None = None,
    proxy: str | None = None,
    reference: str | None = None,
    aligned: str | None = None,
    data: Path | None = None,
    n: int | None = None,
    seeds: int = 1,
    temperature: float = 0.7,
    new_tokens: int | None = None,
    template_option: list[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    batch: int = 64,
    seed: int = 0,
    dtype: str = "auto",
    device: str | None = None,
    output: Path = Path("kad-tune"),
) -> None:
    """Choose a method's parameter on development questions, then the window for speed; test questions are not asked.

    Args:
        task: As for kad eval; may be given several times.
        method: A method with a parameter: dual, primal, nudging, ..., a loss with a solver as in "Squared*primal", or a target of
            your own.
        trials: The budget: settings to try; those of an earlier search of the same in the folder count.
        placement: Placements of the temperature to choose from (default models); may be given several times.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*.
        reference: The small base model q.
        aligned: The large aligned model p*.
        data: A folder with the tasks' files.
        n: Development questions of every task.
        seeds: How many samples of every question.
        temperature: Of sampling.
        new_tokens: The longest reply; by default the task's own.
        template_option: A variable for the chat template, such as enable_thinking=false; may be given several times.
        low: The lowest value of the parameter; by default the method's own.
        high: The highest.
        batch: Questions decoded at once.
        seed: Of the search.
        dtype: Of the models' weights.
        device: Such as cpu or cuda.
        output: The folder of the search; a search that was stopped goes on there.
    """
    from .tune import run

    settings = dict(locals())
    settings.pop("run")
    run(**settings)


def report(folder: Path, against: str = "dual", task: list[str] | None = None, json: bool = False) -> None:
    """Grade the texts of a folder of results again, and compute every number and figure from them.

    Args:
        folder: What kad eval or kad sweep wrote.
        against: The method that the others are compared with: a name, or a label such as "dual λ=0.4".
        task: A task of your own, a YAML file or an import path, whose grader is to be used; may be given several times. Kad's own
            graders always are.
        json: Print the numbers as JSON, and write nothing.
    """
    from ..evaluation.tasks import task_of
    from .evaluate import report as again

    tasks = [task_of(spec) for spec in task or []]
    again(folder, against, json, tasks={one.name: one for one in tasks})


def gaps(
    prompt: str | None = None,
    file: Path | None = None,
    results: Path | None = None,
    method: list[str] | None = None,
    along: str | None = None,
    loss: Loss | None = None,
    budget: float | None = None,
    base: str | None = None,
    proxy: str | None = None,
    chat: bool = False,
    data: Path | None = None,
    task: list[str] | None = None,
    n: int = 200,
    seed: int = 0,
    temperature: float | None = None,
    greedy: bool = False,
    max_new_tokens: int | None = None,
    time_limit: float = 1.0,
    plots: Path | None = None,
    output: Path | None = None,
    json: bool = False,
    dtype: str = "auto",
    device: str | None = None,
) -> None:
    """How far rules are from the exact optimum over the steps of texts: at the mass that each defers, and at its budget.

    The texts are replies to prompts, written now, or those of stored results. Without models it uses the embedded pair.

    Args:
        prompt: One prompt; standard input, one a line, if neither it nor --file nor --results is given.
        file: Read prompts from this file, one a line.
        results: Take the texts of this folder of kad eval instead; p is computed again, one pass a text.
        method: A rule, as for kad eval; may be given several times (default dual:0.4 primal:0.9 fractional:0.9 nudging:0.4;
            with --results each text's own).
        along: The method whose texts they are (default dual:0.4, with --results all).
        loss: What keeping a token costs: Logistic (default), Squared, Brier, Perceptron, ZeroOne, ConfidenceBet, Nudging, or an import path.
        budget: A budget for rules without one, such as the dual; steps over it are counted, not compared.
        base: The large base model p: a folder or a hub id.
        proxy: The small aligned model q*.
        chat: Put the prompts through the chat template.
        data: With --results: a folder with the tasks' files.
        task: With --results: a task that is a YAML file or an import path; may be given several times.
        n: Steps of every group of texts, drawn at random; 0 is all of them.
        seed: Of the texts and of the steps.
        temperature: Of prompts' replies; by default the aligned model's setting, else 0.7.
        greedy: Write the replies greedily.
        max_new_tokens: The longest reply to a prompt; by default the aligned model's setting, else 256.
        time_limit: Seconds that Exact may take for a step and a budget.
        plots: Write the figure gaps.png, for several tasks one each, to this new folder.
        output: Write every step's numbers to this new .csv file.
        json: Print one JSON object instead of the tables.
        dtype: Of the models' weights: auto, float32, bfloat16 or float16.
        device: Such as cpu or cuda; by default a GPU where there is one.
    """
    from .gaps import run

    settings = dict(locals())
    settings.pop("run")
    run(**settings)
