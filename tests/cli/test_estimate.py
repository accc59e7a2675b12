"""`headway estimate`: with a plan, without one, and in every way of asking wrongly."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

QUICK = ("--model", "Qwen/Qwen2-0.5B", "--lora", "4", "--gpu", "RTX 4090", "--batch", "8", "--seq", "128",
         "--steps", "10k")  # fmt: skip


def test_the_answer_is_on_stdout_and_nothing_else_is(run, plan) -> None:
    outcome = run("estimate", plan, "--rates", "stated")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "small"
    assert lines[3].split()[:3] == ["time", "90.0", "min"]  # 3,000 steps x 1.8 s
    assert "$3.00" in lines[next(i for i, line in enumerate(lines) if line.startswith("  money"))]
    assert lines[-1] == f"next: headway estimate {plan}"


def test_flags_come_in_any_order(run, plan) -> None:
    first = run("estimate", plan, "--rates", "stated", "--seed", "3")
    assert run("estimate", "--seed", "3", "--rates", "stated", plan).out == first.out


def test_a_seed_decides_every_draw(run, plan) -> None:
    again, same, other = (run("estimate", plan, "--seed", seed, "--json").out for seed in ("1", "1", "2"))
    assert again == same
    assert again != other


def test_json_is_the_contract_whatever_flag_asks_for_it(run, plan) -> None:
    asked = run("estimate", plan, "--json", "--rates", "stated")
    assert run("estimate", plan, "--format", "json", "--rates", "stated").out == asked.out
    document = json.loads(asked.out)
    assert document["schema"] == "headway.estimate/1"
    assert document["totals"]["gpu_hours"]["p50"] == pytest.approx(1.5)


def test_csv_has_a_row_for_each_experiment(run, plan) -> None:
    rows = list(csv.DictReader(io.StringIO(run("estimate", plan, "--format", "csv", "--rates", "stated").out)))
    assert [float(row["gpu_hours_p50"]) for row in rows] == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize(("suffix", "start"), [(".json", "{"), (".csv", "experiment,"), (".md", "# small"),
                                               (".html", '<div class="headway">'), (".txt", "small\n")])  # fmt: skip
def test_the_suffix_of_the_file_chooses_the_format(run, plan, tmp_path: Path, suffix: str, start: str) -> None:
    file = tmp_path / f"out{suffix}"
    outcome = run("estimate", plan, "-o", str(file))
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith(f"wrote {file}; next: headway")
    assert file.read_text(encoding="utf-8").startswith(start)
    assert run("estimate", plan, "-o", str(file), "-q").err == ""


def test_a_suffix_that_names_no_format_is_refused_before_anything_is_computed(run, plan, tmp_path: Path) -> None:
    file = tmp_path / "out.foo"
    outcome = run("estimate", plan, "-o", str(file))
    assert (outcome.code, outcome.out, file.exists()) == (2, "", False)
    assert "Known: .txt, .md, .csv, .json, .html" in outcome.err
    assert run("estimate", plan, "-o", str(file), "--format", "md").code == 0
    assert file.read_text(encoding="utf-8").startswith("# small")
    assert run("estimate", plan, "-o", str(tmp_path / "out")).code == 0  # no suffix: a table
    assert run("catalog", "devices", "-o", str(file)).code == 2


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(run, plan, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    outcome = run("estimate", plan, "-o", str(tmp_path / "no" / "out.md"))
    assert outcome.code == 1
    assert "the output file must be writable" in outcome.err
    assert run("estimate", plan, "-o", str(tmp_path)).code == 1
    assert sorted(tmp_path.iterdir()) == before


def test_fail_on_budget_ends_with_4_and_still_answers(run, plan) -> None:
    outcome = run("estimate", plan, "--rates", "stated", "--fail-on", "budget", "--fail-on", "fit")
    assert outcome.code == 4
    assert outcome.err == "failed: over the cost limit: $1.00, needs $3.00\n"
    assert outcome.out.startswith("small")
    assert run("estimate", plan, "--rates", "stated", "--fail-on", "fit").code == 0


def test_an_assumption_changes_the_plan(run, plan) -> None:
    document = json.loads(run("estimate", plan, "--rates", "stated", "--assume", "stated.step=3.6 s", "--json").out)
    assert document["totals"]["gpu_hours"]["p50"] == pytest.approx(3.0)


@pytest.mark.parametrize("assume", ["step", "=3", ""])
def test_an_assumption_needs_a_key_and_a_value(run, plan, assume: str) -> None:
    outcome = run("estimate", plan, "--assume", assume)
    assert outcome.code == 2
    assert "--assume takes a key of the plan and its value" in outcome.err


def test_an_assumption_is_made_once(run, plan) -> None:
    outcome = run("estimate", plan, "--assume", "steps=3", "--assume", "steps=4")
    assert outcome.code == 2
    assert "steps twice" in outcome.err


def test_confidence_names_the_interval(run, plan) -> None:
    assert "p10–p90" in run("estimate", plan).out
    assert "p25–p75" in run("estimate", plan, "--confidence", "0.5").out
    assert run("estimate", plan, "--confidence", "1.5").code == 2


def test_columns_of_the_window_are_kept(run, plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = run("estimate", plan).out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("next:")) <= 60


# ---- without a plan


def test_one_run_from_flags(run) -> None:
    outcome = run("estimate", *QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Qwen/Qwen2-0.5B, LoRA of rank 4" in outcome.out
    assert "2,199,552 of 494M parameters" in outcome.out
    assert "10.2M computed: 128 a row" in outcome.out  # 10,000 x 8 x 128


def test_samples_and_epochs_make_steps(run) -> None:
    flags = (*QUICK[:-2], "--samples", "4k", "--epochs", "2", "--grad-accum", "2", "--price", "0.5", "--dtype", "bf16")
    document = json.loads(run("estimate", *flags, "--json").out)
    run_ = document["experiments"][0]
    assert run_["steps"] == 500  # 4,000 x 2 / (8 x 2)
    assert document["totals"]["cost_usd"]["p50"] == pytest.approx(
        0.5 * document["totals"]["gpu_hours"]["p50"], rel=0.01
    )


def test_all_that_is_missing_is_asked_for_at_once(run) -> None:
    outcome = run("estimate")
    assert outcome.code == 2
    for flag in ("--model", "--lora", "--gpu", "--batch", "--seq", "--steps"):
        assert flag in outcome.err.splitlines()[0]
    assert "Example: headway estimate --model" in outcome.err
    assert "--model" not in run("estimate", "--model", "x").err.splitlines()[0]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--full",), "a run trains in one way, got --lora and --full"),
        (("--epochs", "2"), "as long as its steps or its epochs say"),
        (("--price", "cheap"), "--price takes dollars an hour"),
        (("--samples", "2.5"), "--samples takes a whole number"),
        (("--samples", "many"), "--samples takes a count"),
        (("--gpus", "0"), "--gpus"),
        (("--json", "--format", "csv"), "one format at a time"),
    ],
)
def test_flags_that_contradict_or_mean_nothing(run, more: tuple[str, ...], says: str) -> None:
    outcome = run("estimate", *QUICK, *more)
    assert outcome.code == 2
    assert says in outcome.err


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--gpu", "H100 40GB", "A100 40GB, H100 80GB or MIG"),
        ("--gpu", "A100", "must mean one device"),
        ("--model", "Qwen/Qwen3-7B", "Qwen3 comes in 0.6B"),
    ],
)
def test_a_name_that_means_nothing_is_misuse_of_a_flag(run, flag: str, value: str, says: str) -> None:
    flags = list(QUICK)
    flags[flags.index(flag) + 1] = value
    outcome = run("estimate", *flags)
    assert outcome.code == 2
    assert says in outcome.err
    assert "  at " not in outcome.err


def test_a_plan_and_a_run_from_flags_are_not_mixed(run, plan) -> None:
    outcome = run("estimate", plan, "--gpu", "T4", "--lora", "4")
    assert outcome.code == 2
    assert f"got {plan} and --lora, --gpu" in outcome.err


# ---- a plan that is wrong


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("micro_batch: 8", "micro_batc: 8", ":5:1", "Did you mean micro_batch?"),
        ("RTX 4090", "RTX 4091", ":11:18", "RTX 4090"),
        ("Qwen/Qwen2-0.5B", "Qwen/Qwen2-0.6B", ":3:8", "Qwen2"),
        ("1.8 s", "1.8 GB", ":7:16", "s"),
    ],
)
def test_the_line_and_what_to_do_are_shown(run, plan, old: str, new: str, place: str, says: str) -> None:
    path = Path(plan)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    outcome = run("estimate", plan)
    assert outcome.code == 3
    assert outcome.out == ""
    assert f"at {plan}{place}" in outcome.err
    assert outcome.err.splitlines()[3].strip() == "^"
    assert says in outcome.err


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\xfe", b"a: [", b"- 1\n- 2\n"])
def test_a_file_that_is_no_plan(run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    outcome = run("estimate", str(path))
    assert (outcome.code, outcome.out) == (3, "")
    assert str(path) in outcome.err


@pytest.mark.parametrize(("flag", "code"), [("--machine", 2), ("--option", 3), ("--subset", 3)])
def test_a_name_that_the_plan_lacks(run, plan, flag: str, code: int) -> None:
    outcome = run("estimate", plan, flag, "nowhere")
    assert outcome.code == code
    assert "nowhere" in outcome.err
