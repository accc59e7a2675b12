"""Levels, matrices, chains: what wins, which ids come out, and in which order."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.plan import Experiment, Plan
from headway.domain.selection import select
from headway.plan import plan_from_mapping, read_plan

HEAD = "headway: 1\nmodel: m\ndata: {rows: 10}\n"


def plan(text: str, head: str = HEAD) -> Plan:
    return read_plan("p.yaml", text=head + text).plan


def only(text: str, head: str = HEAD) -> Experiment:
    (experiment,) = plan(text, head).experiments
    return experiment


def ids(made: Plan) -> list[str]:
    return [experiment.id for experiment in made.experiments]


def test_a_plan_without_phases_is_one_phase_one_experiment_one_stage() -> None:
    made = plan("")
    assert [(phase.id, phase.parent, phase.experiments) for phase in made.phases] == [("p", "", ("p",))]
    (stage,) = made.experiments[0].stages
    assert (stage.kind, stage.data, stage.epochs and stage.epochs.mid, stage.steps) == ("train", "data", 1.0, None)
    assert stage.recipe.precision == "auto"
    assert stage.recipe.parallel.data == 0


def test_the_name_is_the_file_or_its_folder() -> None:
    assert read_plan("runs/night.yaml", text=HEAD).plan.name == "night"
    assert read_plan("examples/minimal/plan.yaml", text=HEAD).plan.name == "minimal"


def test_the_nearest_level_wins_and_maps_merge_key_by_key() -> None:
    made = plan(
        "adapter: {method: lora, rank: 4, alpha: 8}\nmicro_batch: 2\nsteps: 1k\n"
        "phases:\n"
        "  a:\n    adapter: {rank: 16}\n    micro_batch: 4\n    experiments:\n"
        "      x: {micro_batch: 8, stages: [{data: {rows: 5}, micro_batch: 16}, {}]}\n"
        "      y: {adapter: none, epochs: 2}\n"
        "  b:\n"
    )
    x, y, b = made.experiments
    adapter = x.stages[0].recipe.adapter
    assert adapter is not None
    assert (adapter.rank, adapter.alpha) == (16, 8.0)
    assert [stage.recipe.micro_batch for stage in x.stages] == [16, 8]
    assert y.stages[0].recipe.adapter is None
    assert (y.stages[0].steps, y.stages[0].epochs and y.stages[0].epochs.mid) == (None, 2.0)
    assert b.stages[0].recipe.micro_batch == 2
    assert (b.stages[0].steps and b.stages[0].steps.mid) == 1000


def test_long_forms_and_samples_replace_and_do_not_merge() -> None:
    made = plan("stated: {step: {mean: 2 s, n: 5}}\nphases:\n  a: {stated: {step: {median: 3 s}, load: 1 s}}\n")
    stated = made.experiments[0].stages[0].stated
    assert stated.terms["step"][""].statistics == {"median": 3.0}
    assert made.experiments[0].stages[0].stated_at == {"step": "a", "load": "a"}


def test_wall_belongs_to_what_it_stands_beside() -> None:
    made = plan(
        "phases:\n"
        "  one: {stated: {step: 1 s, wall: 5 min}}\n"
        "  two: {stated: {wall: 45 min}, stages: [{steps: 1}, {steps: 2, stated: {wall: 30 min}}]}\n"
        "  many: {stated: {wall: 2 h}, matrix: {seed: [1, 2]}}\n"
    )
    one, two, many, _ = made.experiments

    def wall(terms: object) -> list[str]:
        return sorted(terms)  # type: ignore[call-overload, no-any-return]

    assert wall(one.stages[0].stated.terms) == ["step", "wall"]
    assert one.stages[0].stated_at == {"step": "one", "wall": "one"}
    assert wall(one.stated.terms) == ["wall"]
    assert [wall(stage.stated.terms) for stage in two.stages] == [[], ["wall"]]
    assert two.stated.terms["wall"][""].mid == 45 * 60
    assert wall(many.stated.terms) == wall(many.stages[0].stated.terms) == []
    assert [sorted(phase.stated.terms) for phase in made.phases] == [["wall"]] * 3


def test_matrices_multiply_add_up_and_name() -> None:
    made = plan(
        "datasets: {web: {name: The Web, rows: 5}, wiki: {rows: 6}}\n"
        "phases:\n"
        "  2A:\n"
        "    matrix:\n"
        "      - {data: [web, wiki], steps: [10k, 25000]}\n"
        "      - {adapter.rank: [4, 8], params.noise: 0.1, data: web}\n"
    )
    assert ids(made) == [
        "2A/web-10k", "2A/web-steps25000", "2A/wiki-10k", "2A/wiki-steps25000",
        "2A/rank4-noise0.1-web", "2A/rank8-noise0.1-web",
    ]  # fmt: skip
    assert [experiment.name for experiment in made.experiments][:2] == ["The Web 10k", "The Web steps25000"]
    assert made.experiments[1].axes == {"data": "web", "steps": 25000}
    last = made.experiments[-1].stages[0]
    assert last.recipe.adapter is not None
    assert (last.recipe.adapter.rank, last.extra) == (8, {"params": {"noise": 0.1}})


def test_a_matrix_repeats_listed_experiments() -> None:
    made = plan(
        "phases:\n  a:\n    matrix: {seed: [1, 2]}\n    experiments: {x: {steps: 5}, y: {matrix: {steps: [6k, 7k]}}}\n"
    )
    assert ids(made) == ["a/x-seed1", "a/x-seed2", "a/y-seed1-6k", "a/y-seed1-7k", "a/y-seed2-6k", "a/y-seed2-7k"]
    assert [experiment.stages[0].seed for experiment in made.experiments] == [1, 2, 1, 1, 2, 2]


def test_ids_are_text_as_written() -> None:
    made = plan("phases:\n  1:\n    experiments: {007: , 2E5: , 'no': }\n  2: {after: 1}\n")
    assert ids(made) == ["1/007", "1/2E5", "1/no", "2"]
    assert made.phases[1].after is not None
    assert select(made, made.phases[1].after) == ("1/007", "1/2E5", "1/no")


def test_each_means_every_defined_one() -> None:
    made = plan("tasks: {g: {tasks: [b, a]}, c: }\nmatrix: {evaluate: each}\n", "headway: 1\nmodel: m\n")
    assert ids(made) == ["p/b", "p/a", "p/c"]
    assert [experiment.stages[0].kind for experiment in made.experiments] == ["evaluate"] * 3
    assert len({experiment.fingerprint for experiment in made.experiments}) == 3


def test_kinds_of_stages() -> None:
    experiment = only(
        "tasks: [t]\n"
        "stages:\n"
        "  - {steps: 5}\n"
        "  - {generate: {prompts: 20, samples: 10}, gpus: 8}\n"
        "  - {verify: generations, gpus: 1-2}\n"
        "  - {do: [look, think], by: human}\n"
        "  - {evaluate: t}\n"
    )
    assert [stage.kind for stage in experiment.stages] == ["train", "generate", "verify", "do", "evaluate"]
    generate = experiment.stages[1].generate
    assert generate is not None
    assert generate.total == 200
    assert experiment.stages[2].gpus is not None
    assert (experiment.stages[2].gpus.range.low, experiment.stages[2].gpus.range.high) == (1, 2)
    assert (experiment.stages[3].by, experiment.stages[3].do) == ("human", ("look", "think"))
    assert all(stage.data == "" for stage in experiment.stages[1:])


def test_an_experiment_is_evaluated_at_its_end_or_after_each_stage() -> None:
    chain = "tasks: [t]\nstages: [{steps: 1}, {steps: 2}, {do: look}]\n"
    assert [bool(stage.evaluate) for stage in only("evaluate: all\n" + chain).stages] == [False, True, False]
    each = "evaluate: {tasks: t, when: each stage}\n"
    assert [bool(stage.evaluate) for stage in only(each + chain).stages] == [True, True, False]
    own = "tasks: [t]\nstages: [{steps: 1, evaluate: t}, {steps: 2}]\n"
    assert [bool(stage.evaluate) for stage in only(own).stages] == [True, False]


def test_datasets_in_place_get_an_id_of_their_own() -> None:
    made = plan("phases: {a: , b: {data: {rows: 20}}, c: {data: {name: Other Rows}}}\n")
    assert [experiment.stages[0].data for experiment in made.experiments] == ["data", "data-2", "other-rows"]
    rows = [made.datasets[experiment.stages[0].data].rows for experiment in made.experiments]
    assert [value and value.mid for value in rows] == [10, 20, 10]


def test_batches_and_gpus() -> None:
    stage = only("batch: 128\nmicro_batch: 16\n").stages[0]
    assert (stage.batch, stage.recipe.grad_accum, stage.grad_accum_stated) == (128, 8, False)
    stage = only("gpus: 8\nmicro_batch: 2\ngrad_accum: 4\nparallel: {tensor: 2, sharding: zero1}\n").stages[0]
    assert (stage.recipe.parallel.tensor, stage.recipe.parallel.sharding, stage.parallel_kind) == (2, "zero1", "zero1")
    assert only("parallel: fsdp\n").stages[0].recipe.parallel.sharding == "zero3"
    assert only("micro_batch: auto\nbatch: 7\n").stages[0].micro_batch_auto
    batch = only("gpus: 8\nbatch: 64\nmicro_batch: 2\n").stages[0]
    assert batch.recipe.grad_accum == 4  # 64 / (2 rows x 8 copies)


def test_save_and_log() -> None:
    stage = only("save: {every: 50 steps, keep: 10}\nlog: {every: 5 min}\n").stages[0]
    assert stage.save is not None
    assert stage.log is not None
    assert (stage.save.every_steps, stage.save.keep, stage.log.every_s) == (50, 10, 300.0)
    epoch = only("save: {every: 1 epoch, keep: all}\n").stages[0].save
    assert epoch is not None
    assert (epoch.every_epochs, epoch.keep) == (1.0, None)


def test_optional_is_inherited_by_what_is_inside() -> None:
    made = plan("phases: {a: {optional: true, phases: {b: {matrix: {seed: [1, 2]}}}}, c: }\n")
    assert [experiment.optional for experiment in made.experiments] == [True, True, False]


def test_a_plan_from_a_mapping() -> None:
    made = plan_from_mapping(
        {"model": "m", "data": {"rows": 5, "length": 200}, "steps": "10k", "adapter": None, "run": {"machine": "T4"}},
        "flags",
    ).plan
    assert (made.name, ids(made), made.run.machine) == ("flags", ["flags"], "T4")
    assert made.where("steps").file == "flags"


@given(st.permutations(["model: m", "data: {rows: 10}", "seed: 3", "micro_batch: 2", "matrix: {steps: [1k, 2k]}"]))
def test_the_order_of_keys_changes_nothing(lines: list[str]) -> None:
    made = plan("", "\n".join(["headway: 1", *lines]))
    assert made.fingerprint == plan("seed: 3\nmicro_batch: 2\nmatrix: {steps: [1k, 2k]}\n").fingerprint


@pytest.mark.parametrize("times", [3])
def test_expansion_is_the_same_every_time(times: int) -> None:
    text = "matrix: {seed: [3, 1, 2], steps: [5k, 1k]}\n"
    assert len({tuple(ids(plan(text))) for _ in range(times)}) == 1
    assert ids(plan(text))[0] == "p/seed3-5k"


def test_ten_thousand_experiments_share_their_parts() -> None:
    seeds, steps = ",".join(map(str, range(100))), ",".join(f"{n}k" for n in range(1, 101))
    start = time.process_time()
    made = plan(f"adapter: {{rank: 4}}\nmatrix: {{seed: [{seeds}], steps: [{steps}]}}\n")
    assert time.process_time() - start < 10
    assert len({experiment.fingerprint for experiment in made.experiments}) == 10_000
    assert len({id(experiment.stages[0].recipe) for experiment in made.experiments}) == 1
