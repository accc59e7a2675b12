"""Bad plans: each one message with rule, what came, file:line:column and what to do; none takes a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from headway.domain.errors import PlanError
from headway.plan import read_plan

BASE = "headway: 1\nmodel: m\ndata: {rows: 10}\n"
"""Three lines of a good plan; the bad one is line 4."""

FIELDS = [
    ("epocs: 3\n", "4:1: epocs: unknown field, got epocs. Did you mean epochs?"),
    ("save_steps: 50\n", "4:1: save_steps: unknown field, got save_steps. Write save: {every: 50 steps}."),
    (
        "num_epochs: 3\nlora_r: 4\nper_device_train_batch_size: 8\n",
        "4:1: num_epochs: unknown field, got num_epochs. Write epochs: 3. Also unknown: lora_r at line 5; "
        "per_device_train_batch_size at line 6.",
    ),
    ("price: $3/h\n", "4:1: price: unknown field, got price. price belongs to run.machine."),
    (
        "run: {machine: {gpu: T4, prize: $3/h}}\n",
        "4:26: run.machine.prize: unknown field, got prize. Did you mean price?",
    ),
    ("claims: {wal: 3 h}\n", "4:10: claims.wal: unknown claim, got wal. Did you mean wall?"),
    ("matrix: {seeed: [1, 2]}\n", "4:10: matrix.seeed: unknown field, got seeed. Did you mean seed?"),
    (
        "options: {x: {set: {stepz: 5}}}\n",
        "4:21: options.x.set.stepz: unknown field, got stepz. Did you mean steps?",
    ),
]
VALUES = [
    (
        "steps: 10 h\n",
        "4:8: steps: a count is needed: h is not a unit of it, got '10 h'. Write it like 4000, 10k or 1.5M.",
    ),
    ("steps: 10 apples\n", "4:8: steps: a count is needed: apples is not a unit of it, got '10 apples'."),
    ("stated: {step: 45 GB}\n", "4:16: stated.step: a duration is needed: GB is not a unit of it, got '45 GB'."),
    ("stated: {step: 45}\n", "4:16: stated.step: a duration is needed: the unit is missing, got '45'."),
    ("steps: -5\n", "4:8: steps: a count is needed: it must not be negative, got '-5'."),
    ("stated: {step: -1 s}\n", "4:16: stated.step: a duration is needed: it must not be negative, got '-1 s'."),
    ("steps: .nan\n", "4:8: steps: a count is needed, got '.nan'."),
    ("learning_rate: nan\n", "4:16: learning_rate: a number is needed, finite and not negative, got 'nan'"),
    ("learning_rate: 1e999\n", "4:16: learning_rate: a number is needed, finite and not negative, got '1e999'"),
    ("params: {x: .inf}\n", "4:13: a number is finite, got '.inf'"),
    ("steps: 5-3\n", "4:8: steps: a count is needed: a range runs from low to high, got '5-3'."),
    ("steps: 5 epochs\n", "4:8: steps: steps are counted here, got '5 epochs'. Write it like 10k."),
    ("steps: 1000 / 64\n", "4:8: steps: steps are whole, got '1000 / 64'. Write ceil(...) around it."),
    ("micro_batch: 8 tokens\n", "4:14: micro_batch: rows are counted here, got '8 tokens'."),
    ("stated: {load: over 5 s}\n", "4:16: stated.load: a value has two ends, got 'over 5 s'. Write a range, like 1-2."),
    ("gpus: 2 layers\n", "4:7: gpus: GPUs are counted here, got '2 layers'."),
    ("seed: 1.5\n", "4:7: seed: a whole number is needed, at least 0, got '1.5'. Write one whole number, like 8."),
    ("max_length: 0\n", "4:13: max_length: a whole number is needed, at least 1, got '0'"),
    ("quantize: int7\n", "4:11: quantize: one of a few words is needed, got 'int7'. Write none, int8, nf4 or fp8."),
    ("pack: yes\n", "4:7: pack: true or false is needed, got 'yes'"),
    ("validation: 120%\n", "4:13: validation: a share is between 0% and 100%, got '120%'. Write it like 70%."),
    ("save: {every: 5 apples}\n", "4:15: save.every: steps, epochs or a time are needed, got '5 apples'."),
    ("run: {deadline: tomorrow}\n", "4:17: run.deadline: a date is needed, got 'tomorrow'. Write it like 2027-01-31."),
    (
        "run: {hours_per_day: 25}\n",
        "4:22: run.hours_per_day: a day has more than 0 and at most 24 hours to run, got '25'",
    ),
    ("run: {budget: 10 GB}\n", "4:15: run.budget: a budget is a time, money or GPU-hours, got '10 GB'."),
    ("run: {machine: [a, b]}\n", "4:16: run.machine: one value or a map is needed, got a list"),
    ("claims: {wall: $3}\n", "4:16: claims: a duration is needed: $ is not a unit of it, got '$3'."),
    (
        "stated: {factors: {disk: 10% bigger}}\n",
        "4:26: stated.factors.disk: a factor ends in slower, faster, more or less",
    ),
    ("options: {x: {set: {steps: 5 s}}}\n", "4:28: options.x.set.steps: a count is needed: s is not a unit of it"),
    ("steps: __import__('os').getpid()\n", "4:8: steps: an expression is arithmetic: character 1 is not"),
    ("steps: sum(i for i in range(10000000000))\n", "4:8: steps: an expression ends within 100,000 rounds"),
    ("batch: 8 +* 2\n", "4:8: batch: an expression is arithmetic at character 4"),
    ("gpus: {stated_as: a few}\n", "4:19: gpus: a number is needed, and words are no value, got 'a few'. Add `use:`"),
    ("stated: {step: {mean: 5 s, min: 6 s}}\n", "4:16: stated.step: a sample has min ≤ mean ≤ max"),
]
NAMES = [
    (
        "datasets: {a: {mix: {b: 50%, c: 40%}}, b: , c: }\n",
        "4:21: a.mix: the shares of a mixture add up to 100 %, got 90 %",
    ),
    (
        "phases: [{steps: 1}]\n",
        "4:10: entries with settings stand in a map, by name, got a map in a list. Write each as `name: {…}`.",
    ),
    ("datasets: {a: {mix: {q: 100%}}}\n", "4:22: a dataset of a mixture is defined in the plan, got 'q'."),
    (
        "datasets: {a: {mix: {b: 100%}}, b: {mix: {a: 100%}}}\n",
        "4:15: datasets.a.mix: a mixture does not contain itself, got a",
    ),
    (
        "phases: {a: {data: gsm9k}}\ndatasets: [gsm8k]\n",
        "4:20: a dataset is defined in the plan, got 'gsm9k'. Did you mean gsm8k?",
    ),
    ("evaluate: nope\n", "4:11: a task is defined in the plan, got 'nope'. Define it under `tasks`."),
    ("tasks: {a: {data: q}}\n", "4:19: the data of a task is defined in the plan, got 'q'."),
    ("tasks: {a: , g: {tasks: {a: {shots: 3}}}}\n", "4:26: a task is defined once: a is already in the plan, got a"),
    (
        "run: {machine: hoem, machines: {home: {gpu: T4}}}\n",
        "4:16: a machine is defined in the plan, got 'hoem'. Did you mean home?",
    ),
    ("machine: home\n", "4:10: a machine is defined in the plan, got 'home'. Define it under `run.machines`."),
    ("phases: {a: , b: {after: zz}}\n", "4:26: what a selector names is defined in the plan, got 'zz'. Phases: a, b."),
    ("options: {x: {keep: 2B/*}}\n", "4:21: what a selector names is defined in the plan, got '2B/*'."),
    ("questions: {q: {ask: why, answered_by: 9Z}}\n", "4:40: what a selector names is defined in the plan, got '9Z'."),
    (
        "options: {go: {set: {seed: 1}}}\ndecisions: {d: {after: go, then: og}}\n",
        "5:16: an option is defined in the plan, got 'og'.",
    ),
]
STRUCTURE = [
    ("matrix: {steps: [1k, 2k], epochs: 3}\n", "4:27: matrix: one level has one budget, got steps and epochs"),
    (
        "options: {x: {set: {steps: 5, tokens: 6}}}\n",
        "4:31: options.x.set: one level has one budget, got steps and tokens",
    ),
    ("phases: {a: {phases: {a: }}}\n", "4:25: an id stands once, got a."),
    ("matrix: {seed: [1, 1]}\n", "4:20: an id stands once, got p/seed1."),
    (
        "phases: {a: {needs: b}, b: {after: c}, c: {after: a}}\n",
        "4:21: phases do not wait for each other in a circle, got a → b → c → a.",
    ),
    ("phases: {a: {after: a}}\n", "4:21: phases do not wait for each other in a circle, got a → a."),
    ("phases: {a: {phases: {b: {after: a}}}}\n", "4:34: phases do not wait for each other in a circle"),
    ("steps: 5\nepochs: 2\n", "5:1: one level has one budget, got steps and epochs. Keep steps, epochs or tokens."),
    (
        "batch: 100\nmicro_batch: 16\n",
        "4:8: batch: batch is micro_batch x grad_accum x copies of the model, got 100 for 16",
    ),
    (
        "gpus: 8\nparallel: {tensor: 3}\n",
        "4:7: GPUs are data x tensor x pipeline, got 8 GPUs for any x 3 x 1. Write gpus: 6 or 9, or change `parallel`.",
    ),
    (
        "gpus: 2\nparallel: {tensor: 4}\n",
        "4:7: GPUs are data x tensor x pipeline, got 2 GPUs for any x 4 x 1. Write gpus: 4, or change `parallel`.",
    ),
    (
        "gpus: 8\nparallel: {tensor: 2, data: 2}\n",
        "4:7: GPUs are data x tensor x pipeline, got 8 GPUs for 2 x 2 x 1. Write gpus: 4, or change `parallel`.",
    ),
    (
        "stages: []\n",
        "4:9: a chain has at least one stage, got an empty list. "
        "Write it like `stages: [{data: NAME}, {evaluate: all}]`, or leave it out.",
    ),
    ("matrix: {}\n", "4:9: a matrix has at least one axis, got a map. Write it like `matrix: {seed: [1, 2, 3]}`."),
    (
        "matrix: {seed: []}\n",
        "4:16: matrix.seed: an axis has at least one value, got a list. Write it like `seed: [1, 2, 3]`.",
    ),
    (
        "options: {o: {vary: {epochs: []}}}\n",
        "4:30: options.o.vary.epochs: an axis has at least one value, got a list. Write it like `epochs: [1, 2, 3]`.",
    ),
    (
        "matrix: {data: each}\n",
        "4:16: matrix.data: an axis has at least one value, got 'each'. Define some under `datasets`.",
    ),
    ("phases: []\n", "1:1: a plan has at least one experiment"),
    ("phases: {a: }\nmatrix: {seed: [1, 2]}\n", "5:1: matrix stands in a phase, where a plan has phases, got matrix"),
    ("phases: {a: {stages: [{steps: 5}], experiments: [x]}}\n", "4:14: a.stages: stages stand in the experiments"),
    ("options: {x: }\n", "4:13: an option keeps, drops, sets, varies, puts first or brings in something, got x"),
    ("phases: {a: {data.rows: 5}}\n", "4:14: phases.a.data.rows: unknown field"),
    (
        "datasets: [g]\nphases: {a: {data: g, matrix: {data.rows: [5, 6]}}}\n",
        "5:44: a dataset named in `datasets` is set there",
    ),
    (
        "matrix: {seed: [" + "1, " * 1100 + "1], steps: [" + "1, " * 1100 + "1]}\n",
        "4:9: a plan has at most 1,000,000 experiments, got 1,212,201 in this matrix",
    ),
]
EMPTY_IDS = [
    ("name: ''\n", "4:7: name: a name is not empty, got nothing. Write one, or leave it out."),
    ("name: ' '\n", "4:7: name: a name is not empty, got ' '. Write one, or leave it out."),
    ("phases: {'': {seed: 1}}\n", "4:10: phases: an id is not empty, got ''. Give it a name."),
    ("phases: {a: {phases: {'': }}}\n", "4:23: phases.a.phases: an id is not empty, got ''. Give it a name."),
    ("phases: [a, '']\n", "4:13: phases: an id is not empty, got ''. Give it a name."),
    ("phases: {a: {name: ''}}\n", "4:20: phases.a.name: a name is not empty, got nothing."),
    ("experiments: {' ': {seed: 1}}\n", "4:15: experiments: an id is not empty, got ' '. Give it a name."),
    ("datasets: {'': {rows: 5}}\n", "4:12: datasets: an id is not empty, got ''. Give it a name."),
    ("tasks: ['']\n", "4:9: tasks: an id is not empty, got ''. Give it a name."),
]
NOTHING = [
    *(
        (f"{key}: {value}\n", f"4:{len(key) + 3}: {key}: {key} are more than 0, got '{value}'. "
         "Write a number above 0, or leave it out.")
        for key in ("epochs", "steps", "tokens") for value in ("0", "0-3")
    ),
    ("datasets: {d: {rows: 0}}\n", "4:22: datasets.d.rows: rows are more than 0, got '0'. Write a number above 0"),
    ("datasets: {d: {rows: {a: 0, b: 0}}}\n", "4:22: datasets.d.rows: rows are more than 0, got a map."),
    ("datasets: {d: {length: 0}}\n", "4:24: datasets.d.length: tokens are more than 0, got '0'."),
    ("tasks: [t]\nevaluate: {tasks: t, rows: 0}\n", "5:28: evaluate.rows: rows are more than 0, got '0'."),
    ("generate: {prompts: 0}\n", "4:21: generate.prompts: a whole number is needed, at least 1, got '0'."),
    (
        "gpus: 0\n",
        "4:7: p.gpus: a model takes at least one GPU, got 0. Write gpus: 1, or `by: cpu` where it takes none.",
    ),
    ("gpus: 0-2\ngenerate: {prompts: 5}\n", "4:7: p.gpus: a model takes at least one GPU, got 0-2."),
    (
        "validation: 100%\n",
        "4:13: validation: some rows are left to train on: validation is below 100%, got '100%'. Write it like 5%.",
    ),
]  # fmt: skip
FORMS = [
    (
        "adapter: lora\n",
        "4:10: adapter: one of a few words is needed, got 'lora'. Write {method: lora, rank: 8}, or none.",
    ),
    ("seed: [1, 2]\n", "4:7: seed: one value is needed, got a list. Put it under `matrix: {seed: [1, 2]}`."),
    (
        "epochs: [1, 2]\n",
        "4:9: epochs: one value or a map is needed, got a list. Put it under `matrix: {epochs: [1, 2]}`.",
    ),
    (
        "phases: {tokens: {adapter: {rank: [4, 8]}}}\n",
        "4:35: phases.tokens.adapter.rank: one value is needed, got a list. "
        "Put it under `matrix: {adapter.rank: [4, 8]}`.",
    ),
    (
        "options: {o: {set: {epochs: [1, 2]}}}\n",
        "4:29: options.o.set.epochs: one value or a map is needed, got a list. Put it under `vary: {epochs: [1, 2]}`.",
    ),
    (
        "run: {machine: [a, b]}\n",
        "4:16: run.machine: one value or a map is needed, got a list. "
        "Name one here; compare several in an option: `vary: {run.machine: [a, b]}`.",
    ),
    (
        "seed: 1-3\n",
        "4:7: seed: a whole number is needed, at least 0, got '1-3'. Put it under `matrix: {seed: [1, 2, 3]}`.",
    ),
    (
        "matrix: {epochs: 1-3}\n",
        "4:18: matrix.epochs: an axis is a list of values, and a range is one, got '1-3'. Write `epochs: [1, 2, 3]`.",
    ),
    (
        "options: {o: {vary: {steps: {use: 1k-3k, note: x}}}}\n",
        "4:35: options.o.vary.steps: an axis is a list of values, and a range is one, got '1k-3k'. "
        "Write `steps: [1000, 3000]`.",
    ),
    ("save: 100 steps\n", "4:7: save: a map is needed, got '100 steps'. Write `save: {every: 100 steps}`."),
    ("stated: 5 s\n", "4:9: stated: a map is needed, got '5 s'. Write `stated: {step: 5 s}`."),
    (
        "run: {contingency: 2 h}\n",
        "4:20: run.contingency: a map is needed, got '2 h'. Write `contingency: {NAME: 2 h}`.",
    ),
    ("params: 5\n", "4:9: params: a map is needed, got '5'. Write `params: {NAME: 5}`."),
    (
        "decisions: {d: {if: better}}\n",
        "4:21: decisions.d.if: a condition is a map, got 'better'. "
        "Write `{metric: accuracy, of: A, beats: B, by: 2 points}`, or the words alone: `{stated_as: ...}`.",
    ),
    (
        "decisions: {d: {if: {metric: a, beets: 5}}}\n",
        "4:33: decisions.d.if: unknown field, got beets. Write `{metric:",
    ),
    ("evaluate: {taskz: t}\n", "4:12: evaluate.taskz: unknown field, got taskz. "),
]
TOGETHER = [
    (
        "optimizer: foo\n",
        "4:12: optimizer: the optimizer must be a known one, got 'foo'. "
        "Write adamw, adam, adamw_8bit, sgd, momentum, lion, lion_8bit, adafactor or muon.",
    ),
    (
        "quantize: nf4\n",
        "4:11: p.quantize: quantized weights are frozen: an adapter is trained on them, got no adapter. "
        "Add `adapter: {method: lora, rank: 8}`, or drop quantize.",
    ),
    (
        "run: {machine: {gpu: T4, spot: {price: $3/h, max_price: $2/h}}}\n",
        "4:57: spot.max_price: a spot machine is had at its price: max_price is not below it, got $2/h for $3/h. "
        "Write max_price: $3/h, or leave it out.",
    ),
    (
        "datasets: {d: {rows: 1k, length: 200, tokens: 220k}}\n",
        "4:47: tokens: tokens are rows x length, got 220,000 for 1,000 x 200 = 200,000. Drop one of the three.",
    ),
]
WHOLE = [
    ("model: m\n", "1:1: a plan says `headway: 1`. Add the line, or write a plan with `headway init`."),
    ("headway: 2\nmodel: m\n", "1:10: headway: one of a few words is needed, got '2'. Write 1."),
    (
        "headway: 1\ndata: {rows: 5}\n",
        "1:1: p.model: a model is needed, got none. Add `model: Qwen/Qwen2-0.5B` to the plan.",
    ),
    ("headway: 1\nmodel: m\n", "1:1: p: a stage of p has data, evaluate, generate, verify or do, got none of them."),
    (
        "headway: 1\nmodel: {stated_as: Llama}\ndata: {rows: 5}\n",
        "2:20: model: a name is needed, and words are no value",
    ),
]


BAD = (*FIELDS, *VALUES, *NAMES, *STRUCTURE, *EMPTY_IDS, *NOTHING, *FORMS, *TOGETHER)


@pytest.mark.parametrize(
    ("text", "message"),
    [*((BASE + text, message) for text, message in BAD), *WHOLE],
)
def test_message(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(PlanError) as caught:
        _ = read_plan("p.yaml", text=text).plan
    assert time.process_time() - start < 1
    assert str(caught.value).startswith(f"p.yaml:{message}")


def test_a_message_is_data() -> None:
    with pytest.raises(PlanError) as caught:
        read_plan("p.yaml", text=BASE + "epocs: 3\n")
    error = caught.value
    assert (error.rule, error.got, error.field, error.candidates[0]) == ("unknown field", "epocs", "epocs", "epochs")
    assert (error.where.file, error.where.line, error.where.column) == ("p.yaml", 4, 1)


@pytest.mark.parametrize(
    "text",
    [
        "data: {rows: {a: 0, b: 5}}\n",
        "data: {rows: 1k, length: {min: 0, max: 50}}\n",
        "data: {rows: unknown}\nsteps: 5\n",
        "do: call\nby: human\ngpus: 0\n",
        "tasks: [t]\nevaluate: t\nquantize: nf4\n",
        "data: {rows: 5}\nquantize: nf4\nadapter: {rank: 4}\n",
        "data: {rows: 5}\noptimizer: paged_adamw_8bit\nmatrix: {epochs: [1-3, 5]}\n",
        "data: {rows: 5}\nrun: {machine: {gpu: T4, spot: {price: $1-3/h, max_price: $2/h}}}\n",
        "data: {rows: 5}\nphases: {a: }\ndecisions: {d: {after: a, if: {stated_as: better}}}\n",
    ],
)
def test_what_is_near_to_a_mistake_and_none(text: str) -> None:
    assert read_plan("p.yaml", text=f"headway: 1\nmodel: m\n{text}").plan.experiments


def test_a_folder_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"it is a directory. Name the plan in it: .*plan.yaml"):
        read_plan(tmp_path)
