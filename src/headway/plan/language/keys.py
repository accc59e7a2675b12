"""The keys of a plan: the one table from which validation, schema and documentation are made.

Owns the language, nothing of its meaning. A data table: one line a key.
"""

from __future__ import annotations

from typing import Final

from headway.plan.language.kinds import Each, Either, Field, Free, Leaf, Many, Record, Settings, inherited

TEXT = Leaf("text")
NAMED = Leaf("words")
TEXTS = Leaf("texts")
FLAG = Leaf("flag")
NUMBER = Leaf("number")
WHOLE = Leaf("integer")
POSITIVE = Leaf("integer", least=1)
SHARE = Leaf("share")
PORTION = Leaf("portion")
ROWS = Leaf("count", counts="rows", positive=True)
TOKENS = Leaf("count", counts="tokens", positive=True)
EPOCHS = Leaf("count", counts="epochs", open=True)
TIME = Leaf("s")
BAND = Leaf("s", open=True)
NAME = Leaf("name")
SELECTOR = Leaf("selector")
SELECTORS = Leaf("selectors")
CLAIMS = Field(Leaf("claims"), "Results the author states, to be confirmed or contradicted; never an input.")
TIMES = Many(TIME)
TIMED = Either((TIMES, Each(TIMES)))


def _choice(*words: str) -> Leaf:
    return Leaf("choice", choices=words)


ADAPTER = Record(
    "adapter",
    {
        "method": Field(_choice("lora", "dora", "rslora"), "Kind of adapter.", "lora"),
        "rank": Field(POSITIVE, "Rank of the two small matrices.", "8"),
        "alpha": Field(NUMBER, "Scale of the adapter.", "the library's"),
        "targets": Field(TEXTS, "Layers that get one: `all-linear`, `attention`, `mlp`, or names.", "all-linear"),
        "dropout": Field(NUMBER, "Dropout before the adapter.", "0"),
    },
)
WITHOUT_ADAPTER = Leaf("choice", choices=("none",), remedy="Write {method: lora, rank: 8}, or none.")
PARALLEL = Record(
    "parallel",
    {
        "tensor": Field(POSITIVE, "GPUs that share each layer.", "1"),
        "pipeline": Field(POSITIVE, "GPUs that share the stack of layers.", "1"),
        "data": Field(POSITIVE, "Copies of the model.", "the GPUs that are left"),
        "sharding": Field(_choice("none", "zero1", "zero2", "zero3"), "What copies share among them.", "none"),
    },
)
CADENCE = Record(
    "cadence",
    lone="every",
    fields={
        "every": Field(Leaf("cadence"), "Steps, epochs or time between two.", "end only"),
        "keep": Field(Either((Leaf("keep"),)), "How many are kept, or `all`.", "all"),
    },
)
EVALUATE = Record(
    "evaluate",
    {
        "tasks": Field(TEXTS, "Tasks, groups or `all`."),
        "every": Field(Leaf("cadence"), "Steps or epochs between evaluations.", "see when"),
        "when": Field(_choice("end", "each stage"), "At the end of an experiment, or after each stage.", "end"),
        "rows": Field(ROWS, "Rows of each task.", "all"),
        "shots": Field(WHOLE, "Worked examples in the prompt.", "the task's"),
    },
)
DATASET = Record(
    "dataset",
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        "rows": Field(ROWS, "Rows: a count, an expression, or parts to be summed.", "those of the file, or unknown"),
        "length": Field(
            Leaf("length", counts="tokens", positive=True),
            "Tokens in a row: a mean, a range, a sample, or a file of lengths.",
            "unknown",
        ),
        "tokens": Field(TOKENS, "Tokens in all.", "rows x length"),
        "mix": Field(Each(PORTION), "Parts of a mixture, adding up to 100 %."),
        "from": Field(TEXT, "Hub id, file or script; rows of a .jsonl, .json or .txt beside the plan are counted."),
        "split": Field(TEXT, "Split of the source.", "train"),
        "labels": Field(Leaf("integer", counts="classes"), "Count of classes."),
    },
)
GENERATE = Record(
    "generate",
    lone="prompts",
    fields={
        "prompts": Field(Leaf("integer", least=1, counts="prompts"), "Prompts.", "1"),
        "samples": Field(Leaf("integer", least=1, counts="rows"), "Samples for each prompt.", "1"),
        "tokens": Field(TOKENS, "Tokens of one sample."),
        "prompt_tokens": Field(Leaf("count", counts="tokens"), "Tokens of one prompt."),
    },
)
STATED = Record(
    "stated",
    lone="step",
    fields={
        "step": Field(TIMED, "Time of one optimizer step."),
        "throughput": Field(Many(Leaf("per_s")), "Rate of steps, tokens or samples; used when no step is stated."),
        "wall": Field(TIMED, "Time of the whole thing it stands beside; overrides the parts."),
        "evaluation": Field(TIMED, "Time for each task."),
        "generation": Field(TIMED, "Time for each sample."),
        "checks": Field(TIMED, "Time of each check, for each sample."),
        "load": Field(TIMED, "Loading of model, adapter, tokenizer, data."),
        "tokenize": Field(TIMED, "Tokenizing of the data."),
        "compile": Field(TIMED, "Compiling of the model."),
        "checkpoint": Field(TIMED, "Time of each checkpoint."),
        "final_save": Field(TIMED, "Saving of the result."),
        "cleanup": Field(TIMED, "What is left to do afterwards."),
        "factors": Field(Each(Leaf("factor")), "What makes it slower or faster: `10-20% slower`, `2 min more`."),
        "convergence": Field(
            Record("convergence", {word: Field(EPOCHS, f"Epochs of {word} improvement.") for word in
                                   ("steep", "moderate", "diminishing", "minimal")}),
            "Bands of epochs by how much they still improve.",
        ),
        "source": Field(TEXTS, "Where the rates come from."),
    },
)  # fmt: skip

ANYWHERE: Final[dict[str, Field]] = {
    "model": inherited(NAME, "Hub id, folder or `config.json`.", "required"),
    "quantize": inherited(_choice("none", "int8", "nf4", "fp8"), "Form of the frozen weights.", "none"),
    "adapter": inherited(Either((WITHOUT_ADAPTER, ADAPTER)), "Low-rank adapter; `none`: all weights.", "none"),
    "precision": inherited(_choice("bf16", "fp16", "fp32", "fp8"), "Number format.", "best of the device"),
    "optimizer": inherited(Leaf("optimizer"), "Optimizer.", "adamw"),
    "learning_rate": inherited(NUMBER, "Learning rate.", "the trainer's"),
    "lr_schedule": inherited(TEXT, "Learning rate over time.", "the trainer's"),
    "warmup": inherited(Leaf("warmup"), "Steps or share of the steps.", "the trainer's"),
    "weight_decay": inherited(NUMBER, "Weight decay.", "the trainer's"),
    "data": inherited(Either((NAME, DATASET)), "A dataset's name, or a dataset in place.", "nothing is trained"),
    "batch": inherited(
        Leaf("integer", least=1, counts="rows"),
        "Rows per optimizer step: micro_batch x grad_accum x copies.",
        "computed",
    ),
    "micro_batch": inherited(
        Leaf("integer", choices=("auto",), least=1, counts="rows"), "Rows per GPU and pass.", "1", True
    ),
    "grad_accum": inherited(POSITIVE, "Passes per optimizer step.", "computed, else 1", True),
    "max_length": inherited(
        Leaf("integer", least=1, counts="tokens"), "Longest row in tokens.", "the longest of the data"
    ),
    "pack": inherited(FLAG, "Several short rows in one.", "false"),
    "epochs": inherited(Leaf("count", counts="epochs", positive=True), "Passes over the data.", "1"),
    "steps": inherited(Leaf("count", counts="steps", positive=True), "Optimizer steps."),
    "tokens": inherited(TOKENS, "Tokens to train on."),
    "forward_passes": inherited(
        WHOLE, "Passes without gradients beside each training pass: a reference or reward model's (DPO: 1).", "0"
    ),
    "seed": inherited(WHOLE, "Random seed; several by matrix.", "0"),
    "params": inherited(Each(Free()), "The author's own settings."),
    "freeze": inherited(Leaf("integer", counts="layers"), "Leading blocks that are not trained.", "0"),
    "carry": inherited(_choice("adapter", "merged", "fresh"), "What the next stage starts from.", "adapter"),
    "early_stop": inherited(TEXT, "Quantity watched."),
    "gpus": inherited(Leaf("count", counts="GPUs"), "GPUs that a stage takes.", "1", True),
    "parallel": inherited(
        Either((_choice("ddp", "fsdp", "zero1", "zero2", "zero3"), PARALLEL)), "How GPUs share the work.", "ddp", True
    ),
    "gradient_checkpointing": inherited(_choice("none", "selective", "full"), "Recomputed activations.", "none", True),
    "master_weights": inherited(
        FLAG,
        "fp32 weights, gradients and optimizer under 16-bit arithmetic: 16 bytes a parameter with AdamW.",
        "false",
        True,
    ),
    "attention": inherited(_choice("sdpa", "flash", "eager"), "Attention code.", "sdpa", True),
    "compile": inherited(FLAG, "torch.compile.", "false", True),
    "save": inherited(CADENCE, "Checkpoints.", "end only", True),
    "log": inherited(CADENCE, "Log lines.", "every 10 steps", True),
    "validation": inherited(Leaf("held_out"), "Share of the rows held out.", "0%"),
    "evaluate": inherited(Either((EVALUATE, TEXTS)), "Task, group, `all`, or `each` in a matrix."),
    "reuse": inherited(_choice("none", "prefixes"), "Train shared beginnings once.", "none", True),
    "machine": inherited(NAME, "One of `run.machines`, where it is not the plan's.", "run.machine", True),
    "stated": inherited(STATED, "Rates that the author believes, by term of the estimate.", "", True),
}
"""Keys that may stand at plan, phase, experiment and stage; the nearest wins."""

OWN: Final[dict[str, Field]] = {
    "do": Field(TEXTS, "Other work, in words."),
    "by": Field(_choice("gpu", "cpu", "human"), "Who does it.", "gpu"),
    "generate": Field(GENERATE, "Samples drawn from the model."),
    "verify": Field(TEXT, "What goes through the `stated.checks`."),
}
"""Keys of one stage; they stand higher up where that is the only stage."""

STAGE = Record("stage", {"name": Field(NAMED, "Name for people.", "the data's"), **ANYWHERE, **OWN, "claims": CLAIMS})
MATRIX = Field(Many(Settings(listed=True, selecting=False)), "Values that multiply; a list of matrices adds up.")
STAGES = Field(Many(STAGE), "A chain; the model is carried along.", "one")
EXPERIMENT = Record(
    "experiment",
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        **ANYWHERE,
        **OWN,
        "matrix": MATRIX,
        "stages": STAGES,
        "claims": CLAIMS,
    },
)
PHASE = Record("phase")
PHASE.fields.update(
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        "asks": Field(TEXT, "The question that the phase answers."),
        "after": Field(SELECTOR, "What is drawn and preferred before it."),
        "needs": Field(SELECTOR, "What it uses the result of."),
        "optional": Field(FLAG, "Outside the totals until an option brings it in.", "false"),
        **ANYWHERE,
        **OWN,
        "matrix": MATRIX,
        "phases": Field(Each(PHASE, listed=True), "Phases inside it."),
        "experiments": Field(Each(EXPERIMENT, listed=True), "Experiments by id."),
        "stages": STAGES,
        "claims": CLAIMS,
    }
)
TASK = Record("task")
TASK.fields.update(
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        "metrics": Field(TEXTS, "What is measured."),
        "tasks": Field(Each(TASK, listed=True), "Members; makes it a group."),
        "data": Field(TEXT, "Dataset it is measured on.", "the one of the same name"),
        "labels": Field(WHOLE, "Count of classes."),
        "shots": Field(WHOLE, "Worked examples in the prompt.", "0"),
        "from": Field(TEXT, "Where it is defined."),
    }
)
QUESTION = Record(
    "question",
    {
        "ask": Field(TEXT, "The question."),
        "answered_by": Field(SELECTOR, "What answers it."),
        "along": Field(TEXT, "The key that varies."),
        "target": Field(TEXT, "What is aimed at: `80% of gpt-4`."),
    },
)
REFERENCE = Record(
    "reference",
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        "gpu": Field(NAME, "GPU it ran on."),
        "rows": Field(ROWS, "Rows it trained on."),
        "wall": Field(TIMES, "Time it took."),
        "speedup": Field(Leaf("x"), "This plan's machine over the reference's."),
        "scores": Field(Either((_choice("unknown"), Each(Leaf("any")))), "Scores by task."),
        "says": Field(TEXT, "Its own words."),
        "source": Field(TEXT, "Where it is published."),
        "claims": CLAIMS,
    },
)
OPTION = Record(
    "option",
    {
        "name": Field(NAMED, "Name for people.", "the id"),
        "keep": Field(SELECTORS, "Only these."),
        "drop": Field(SELECTORS, "Not these."),
        "set": Field(
            Settings(listed=False, selecting=True), "Keys, `SELECTOR.key` or `run.key`, stronger than any level."
        ),
        "vary": Field(Settings(listed=True, selecting=True), "The same, with lists: one variant for each value."),
        "first": Field(SELECTOR, "What runs first."),
        "with": Field(TEXTS, "Optional phases to bring in."),
        "claims": CLAIMS,
    },
)
BRANCH = Either((TEXT, Record("branch", {"keep": Field(SELECTOR, "What is kept."), "claims": CLAIMS})))
DECISION = Record(
    "decision",
    {
        "after": Field(TEXT, "Option or phase whose result it looks at."),
        "if": Field(Leaf("predicate"), "`{metric, of, beats, by: points or %}`."),
        "then": Field(BRANCH, "Option, `keep` or `stop`."),
        "else": Field(BRANCH, "Option, `keep` or `stop`."),
    },
)
MACHINE = Record(
    "machine",
    {
        "gpu": Field(NAME, "GPU by name."),
        "provider": Field(TEXT, "Who rents it out."),
        "instance": Field(NAME, "The provider's name for it."),
        "region": Field(TEXT, "Where."),
        "gpus": Field(Leaf("integer", least=1, counts="GPUs"), "GPUs of one node.", "1"),
        "nodes": Field(POSITIVE, "Nodes.", "1"),
        "memory": Field(Leaf("bytes"), "Of one GPU."),
        "link": Field(TEXT, "Between the GPUs."),
        "price": Field(Many(Leaf("usd_per_hour")), "Of the whole machine.", "the catalog's"),
        "spot": Field(
            Record("spot", lone="price", fields={
                "price": Field(Many(Leaf("usd_per_hour")), "Of the whole machine."),
                "discount": Field(SHARE, "Off the price on demand."),
                "hazard": Field(Many(Leaf("per_hour")), "Interruptions: %/h, %/day, %/month."),
                "notice": Field(TIME, "Warning before an interruption."),
                "max_price": Field(Leaf("usd_per_hour"), "Highest bid."),
            }),
            "When it may be taken away.", "the catalog's",
        ),
        "billing": Field(
            Record("billing", lone="unit", fields={
                "unit": Field(_choice("gpu", "node"), "What is billed."),
                "block": Field(TIME, "Time is rounded up to it."),
                "minimum": Field(TIME, "Billed at least."),
            }),
            "How time turns into billed time.", "the catalog's",
        ),
        "power": Field(
            Either((Many(Leaf("w")), Record("power", {
                "board_limit": Field(Leaf("w"), "Limit of the board."),
                "average": Field(Leaf("w"), "Mean draw of the board."),
                "wall": Field(Leaf("w"), "Draw of the whole machine at the wall."),
                "pue": Field(Leaf("x"), "Building over machine."),
            }))),
            "Watts.", "unknown",
        ),
        "electricity": Field(Leaf("usd_per_kwh"), "Price of a kWh.", "unknown"),
    },
)  # fmt: skip
ALERT = Record(
    "alert",
    {
        "step": Field(BAND, "Band of the step time: `over 1 s`."),
        "wall": Field(BAND, "Band of the whole time: `under 30 min`."),
        "check": Field(Either((Each(TEXT), TEXTS)), "Causes, with their remedies."),
    },
)
MEASURE = Record(
    "measure",
    lone="batches",
    fields={
        "batches": Field(Leaf("integer", least=1, counts="batches"), "Batches to time."),
        "budget": Field(TIME, "Time for it."),
        "command": Field(TEXT, "Shell line that does it."),
    },
)
RUN = Record(
    "run",
    {
        "machine": Field(Either((NAME, MACHINE)), "One of the machines, a GPU, or a machine in place."),
        "machines": Field(Each(MACHINE), "Machines by name."),
        "pricing": Field(_choice("on-demand", "spot", "reserved"), "How it is paid.", "on-demand"),
        "idle": Field(_choice("keep", "stop"), "What happens to a rented machine between GPU phases.", "keep"),
        "hours_per_day": Field(Leaf("hours_a_day"), "Hours that it runs.", "24"),
        "budget": Field(Many(Leaf("budget")), "Time, money or GPU-hours."),
        "deadline": Field(Leaf("date"), "Day on which it is to be done."),
        "session": Field(TIME, "Longest time in one go."),
        "buffer": Field(SHARE, "Share of the total on top.", "none"),
        "contingency": Field(Each(TIME), "What may come in between."),
        "reserve": Field(Leaf("usd"), "Money on top.", "none"),
        "measure": Field(MEASURE, "How throughput is measured."),
        "alert": Field(Many(ALERT), "When to look closer."),
        "engine": Field(_choice("local", "slurm", "ray", "simulated"), "What starts the runs.", "local"),
        "framework": Field(TEXT, "What trains: torchtitan, unsloth, NeMo, ...", "a Hugging Face trainer"),
        "jobs": Field(POSITIVE, "Runs at once.", "1"),
        "command": Field(TEXT, "Shell line with `{key}` holes."),
    },
)
PLAN = Record(
    "plan",
    {
        "headway": Field(_choice("1"), "Version of the file.", "required"),
        "name": Field(NAMED, "Id of the plan.", "the file's name"),
        "title": Field(TEXT, "Title for people."),
        "source": Field(TEXTS, "Documents it comes from."),
        **ANYWHERE,
        **OWN,
        "datasets": Field(Each(DATASET, listed=True), "Datasets and mixtures by id."),
        "tasks": Field(Each(TASK, listed=True), "What models are evaluated on."),
        "phases": Field(Each(PHASE, listed=True), "Groups of experiments.", "one"),
        "experiments": Field(Each(EXPERIMENT, listed=True), "Experiments by id."),
        "stages": STAGES,
        "matrix": MATRIX,
        "questions": Field(Each(QUESTION), "Research questions."),
        "references": Field(Each(REFERENCE), "Outside facts to compare with."),
        "options": Field(Each(OPTION), "What-ifs: subsets, savings, scenarios."),
        "decisions": Field(Each(DECISION), "Forks in the road."),
        "assume": Field(Each(Leaf("assumed")), "headway's own priors, as with `--assume`.", "the catalog's"),
        "claims": CLAIMS,
        "run": Field(RUN, "Circumstance: machine, engine, prices."),
    },
)
BUDGETS: Final = ("steps", "epochs", "tokens")
