"""What the page of an estimate says: whole pages as snapshots, and each section's words and arithmetic.

HEADWAY_SNAPSHOTS=write rewrites the snapshots; look at the difference before believing it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.shown import section, shown

from headway.cost.calendar import LimitCheck
from headway.cost.scenarios import booking, scenarios
from headway.cost.segments import Segment
from headway.domain.errors import Finding
from headway.domain.lookup import Machine, Price
from headway.domain.machine import Device, Node
from headway.domain.plan import Experiment, Generation, MachineSpec, Question, Stage
from headway.domain.spread import Spread
from headway.domain.statement import Selector, Value
from headway.domain.units import Range
from headway.estimate.nouns import StageEstimate
from headway.estimate.questions.epochs import Affordable, EpochTable, Grid
from headway.report.answer import Answer, MachineAnswer
from headway.report.estimate_view import PARTS, estimate_view
from headway.report.render import text
from headway.report.verdicts import refused
from headway.report.view import Detail, Fact, Layout, Note

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize(
    ("which", "form", "width", "verbose"),
    [
        ("many", "table", 80, False), ("many", "table", 120, True), ("one", "table", 80, False),
        ("nothing_known", "table", 80, False), ("many", "md", 80, True), ("one", "html", 80, False),
    ],
)  # fmt: skip
def test_the_page_is_the_snapshot(
    which: str, form: str, width: int, verbose: bool, request: pytest.FixtureRequest
) -> None:
    view = estimate_view(request.getfixturevalue(which), Detail(verbose=verbose))
    page = text(view, form, Layout(width=width))
    path = SNAPSHOTS / f"{which}-{width}{'-verbose' if verbose else ''}.{'txt' if form == 'table' else form}"
    if os.environ.get("HEADWAY_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
    assert page == path.read_text(encoding="utf-8")


def test_every_section_file_is_used() -> None:
    folder = Path(__file__).parents[2] / "src" / "headway" / "report" / "sections"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "selection"}
    assert files == {part.__module__.rpartition(".")[2] for part in PARTS}


def test_the_answer_comes_first_and_every_number_says_its_kind(one: Answer) -> None:
    facts = [item for item in estimate_view(one).sections[0].items if isinstance(item, Fact)]
    assert [fact.label for fact in facts if fact.label] == ["time", "money", "memory", "binds", "narrower", "next"]
    kinds = {fact.label: fact.kind for fact in facts if fact.kind and fact.label}
    assert kinds == {"time": "stated", "money": "stated", "memory": "predicted", "binds": "predicted"}


def test_a_wider_confidence_is_named_and_used(many: Answer) -> None:
    from headway.report.sections.phases import parts

    draws = Spread.from_draws(__import__("numpy").linspace(0, 36000, 1001), "predicted")
    phases = (replace(many.estimate.phases[0], gpu_s=draws), *many.estimate.phases[1:])
    wide = replace(many, estimate=replace(many.estimate, phases=phases))
    table = next(parts(wide, Detail(confidence=0.5))).items[0]
    assert "p25–p75" in [column.name for column in table.columns]
    assert "2.5–7.5" in table.rows[0].cells


def test_stated_stands_beside_predicted_with_the_ratio(many: Answer) -> None:
    words = " ".join(shown(many).split())
    assert "headway predicts 48.4 min (33.3–66.7) predicted" in words
    assert "15.0 × slower than the prediction" in words
    faster = " ".join(shown(replace(many, beside_ratio=0.25)).split())
    assert "4.0 × faster than the prediction" in faster


def test_phases_nest_and_add_up_to_the_total(many: Answer) -> None:
    lines = [line.split() for line in section(many, "Phases", 120)]
    by_id = {words[0]: words for words in lines}
    assert float(by_id["1"][5]) + float(by_id["2"][5]) == float(by_id["Subtotal"][1]) == 11.0
    assert float(by_id["2A"][5]) + float(by_id["2B"][5]) == float(by_id["2"][5])
    assert by_id["Total"][1:4] == ["4", "19,800", "12.1"]
    assert "    2A" in "\n".join(section(many, "Phases", 120))


def test_each_question_stands_with_the_runs_and_hours_that_answer_it(many: Answer) -> None:
    rq = Question(id="RQ1", ask="Does more of anything help?", answered_by=Selector(patterns=("2",)))
    open_ = Question(id="RQ2", ask="What else?")
    asked = replace(many, plan=replace(many.plan, questions={"RQ1": rq, "RQ2": open_}))
    lines = section(asked, "Questions", 80)
    assert [line.split()[-2:] for line in lines[1:]] == [["1", "1.0"], ["2", "6.0"], ["1", "4.0"], ["3", "10.0"],
                                                         ["0", "–"]]  # fmt: skip
    assert "Does it start?" in lines[1]
    assert lines[4].split()[0] == "RQ1"


def test_the_ladder_has_the_hours_of_one_step_times_so_many(many: Answer) -> None:
    lines = section(many, "Steps and time")
    assert [line.split() for line in lines[1:6]] == [
        ["1,000", "0.56"], ["5,000", "2.78"], ["10,000", "5.56"], ["20,000", "11.11"], ["50,000", "27.78"],
    ]  # fmt: skip


def test_many_alike_are_one_row_and_few_are_not(many: Answer) -> None:
    run = many.estimate.experiments[0]
    alike = tuple(replace(run, id=f"1/{index}", name=f"Run {index}") for index in range(9))
    grown = replace(many, estimate=replace(many.estimate, experiments=(*alike, *many.estimate.experiments[1:])))
    lines = section(grown, "Experiments", verbose=True)
    assert any(line.split() == "9 alike (Run 0 … Run 8) 9 × 1,800 9.0".split() for line in lines)
    assert any(line.split() == "Middle 3,600 2.0".split() for line in lines)
    assert any("Chain (2 stages)" in line for line in lines)


def test_members_of_an_option_are_named_when_asked(many: Answer) -> None:
    assert "2A/middle" not in "\n".join(section(many, "Options"))
    assert any("1/short, 2A/middle" in line for line in section(many, "Options", verbose=True))


def test_what_was_left_out_is_said(many: Answer) -> None:
    assert section(many, "Left out")[0].split(maxsplit=1) == ["evaluation", "40 task evaluations of 4 trained models"]


def test_rows_are_summed_part_by_part_and_divided_into_steps(one: Answer) -> None:
    lines = section(one, "From data to steps")
    assert lines[1].split() == "part 1 6 * 1000 6,000".split()
    assert lines[4].split() == ["Total", "8,000"]
    assert lines[5].split(maxsplit=1)[1] == "8,000 rows ÷ 8 a step = 1,000 steps"
    assert any("10 at the interval + the final one, 3 kept of 1.00 GB each" in line for line in lines)


def test_terms_stand_at_best_expected_and_worst(one: Answer) -> None:
    lines = {line.split("  ")[1]: line.split() for line in section(one, "Time by term")}
    assert lines["training steps"][2:] == "13.3 min 16.7 min 20.0 min 1,000 × 1 s".split()
    assert lines["checkpoints"][1:] == "50 s 75 s 100 s 10 × 7.5 s".split()
    assert lines["Total"][1:] == "14.7 min 18.7 min 22.7 min".split()


def test_parts_that_do_not_add_up_to_their_term_are_not_shown(one: Answer) -> None:
    assert any(line.split()[0] == "tokenizer" for line in section(one, "Time by term"))
    run = one.estimate.experiments[0]
    terms = {**run.terms_s, "load": run.terms_s["load"] * 2}
    other = replace(one, estimate=replace(one.estimate, terms_s=terms))
    assert not any(line.split()[0] == "tokenizer" for line in section(other, "Time by term"))


def test_what_is_impossible_is_said_at_once_and_once(one: Answer) -> None:
    findings = tuple(Finding(code=f"HW20{i}", severity="error", message=f"impossible {i}") for i in range(4))
    doubtful = replace(one, findings=findings)
    headline = estimate_view(doubtful).sections[0]
    assert [item.text for item in headline.items if isinstance(item, Note)] == [f"impossible {i}" for i in range(3)]
    assert section(doubtful, "Findings") == ["  error: impossible 3 (HW203)"]
    assert shown(doubtful).count("impossible 0") == 1


def test_a_cross_check_gives_its_verdict(one: Answer) -> None:
    words = " ".join(" ".join(section(one, "Cross-check")).split())
    assert "40–60 min: 2.00 × the rows, 2–3 × as fast" in words
    assert "they disagree: 1.8 × apart" in words
    agreeing = replace(one, cross_checks=(replace(one.cross_checks[0], apart=1.0),))
    assert "they agree" in " ".join(section(agreeing, "Cross-check"))


def test_an_assumption_moves_the_total_both_ways_in_minutes_and_percent(one: Answer) -> None:
    lines = section(one, "What moves the total")
    assert lines[1].split() == ["step", "−3.3", "−17.8", "+3.3", "+17.8", "stated"]
    assert lines[2].split()[1:3] == ["unknown", "unknown"]


def test_only_the_largest_assumptions_are_shown_unless_all_are_asked_for(one: Answer) -> None:
    many_effects = tuple(replace(one.sensitivity[0], name=f"input {index}") for index in range(10))
    answer = replace(one, sensitivity=many_effects)
    assert len(section(answer, "What moves the total")) == 1 + 6 + 1
    assert "4 smaller ones: -v" in section(answer, "What moves the total")[-1]
    assert len(section(answer, "What moves the total", sensitivity=True)) == 1 + 10 + 1


# ---- a node, epochs, samples

NODE = Machine(
    name="node",
    node=Node(device=Device(name="H100", vendor="", generation="", year=2022, memory_bytes=80e9,
                            bandwidth_bytes_per_s=3e12, peak_flop_per_s={}), gpus=8),
    spec=MachineSpec(id="node", billing_block=Value(range=Range.point(3600), unit="s")), provider="aws", instance="p5",
    price=Price(usd_per_hour=Range.point(32), kind="stated", source="plan"),
    spot_price=Price(usd_per_hour=Range(10, 12, 15), kind="stated", source="plan"), hazard_per_hour=Range.point(0.05),
)  # fmt: skip


@pytest.fixture
def node(many: Answer) -> Answer:
    """Half an hour on 8 GPUs, then two hours of people at the keyboard: 4 of 20 GPU-hours, billed as 24."""
    work = (
        Segment(id="a", name="a", gpus=8, wall=Spread.exact(1800.0, "stated")),
        Segment(id="b", name="b", gpus=0, wall=Spread.exact(7200.0, "stated"), by="human"),
    )
    ways = scenarios(work, NODE)
    bill = ways[0].bill
    machine = MachineAnswer(name="node", provider="aws", instance="p5", device="H100", gpus=8, estimate=many.estimate,
                            bill=bill, from_catalog=False, hours_transferred=True)  # fmt: skip
    used = Spread.exact(4 * 3600.0, "stated")
    made = replace(many.estimate, gpu_s=used)
    return replace(many, estimate=made, machines=(machine,), node_scenarios=ways, booking=booking(bill, NODE),
                   interrupted={"8 h": 1 - 0.95**8}, energy=None)  # fmt: skip


def test_a_node_is_billed_whole_and_says_what_was_used(node: Answer) -> None:
    lines = {line.split()[0]: line.split() for line in section(node, "Bill of node")}
    assert lines["GPU"][2:] == ["4.00", "$16.00"]  # half an hour x 8 GPUs at $4
    assert lines["idle"][1:] == ["16.00", "$64.00"]
    assert lines["As"][3:] == ["20.00", "$80.00"]
    assert lines["rounded"][2:] == ["4.00", "$16.00"]  # 2.5 h become 3
    assert lines["Total"][1:] == ["24.00", "$96.00"]
    assert "16.7 % of what is billed" in " ".join(lines["used"])
    assert lines["each"][1] == "$24.00"
    assert "24.0 GPU-hours billed for 4.00 used" in shown(node)


def test_ways_to_pay_interruption_and_booking(node: Answer) -> None:
    ways = [line.split() for line in section(node, "Ways to pay", 120)]
    assert ways[1][-3:] == ["2.50", "24.00", "$96.00"]
    assert next(words for words in ways if "spot," in words)[-2:] == ["$36.00", "$30.00–$45.00"]
    assert any("interrupted within 8 h: 33.7 %" in line for line in section(node, "Ways to pay"))
    book = {line.split()[0]: line.split(maxsplit=1)[1] for line in section(node, "To book")}
    assert book["instance"] == "aws p5: 8 × H100"
    assert book["request"] == "on-demand"
    assert book["cost"].startswith("$96.00 at $32/h")


def test_epochs_for_budgets_and_the_grid(one: Answer) -> None:
    hour = Value(range=Range.point(3600.0), unit="s", text="1 h")
    epochs = EpochTable(experiment="run", epoch_s=Spread.exact(1686.0, "stated"), fixed_s=Spread.exact(0.0, "assumed"),
                        steps_per_epoch=3232, rows=3232,
                        budgets=(Affordable(budget=hour, epochs=2, epochs_p90=1, wall_s=3372.0),))  # fmt: skip
    grid = Grid(step_s=(0.2, 1.0), epochs=(1, 5), wall_s=((646.4, 3232.0), (3232.0, 16160.0)))
    lines = [line.split() for line in section(replace(one, epochs=epochs, grid=grid), "Epochs")]
    assert lines[0] == "one epoch 28.1 min stated".split()
    assert lines[3] == "1 h 2 56.2 min 1".split()
    assert lines[5] == "200 ms 10.8 53.9".split()
    assert lines[6] == "1 s 53.9 269.3".split()


def test_generation_and_checks_show_their_arithmetic(many: Answer) -> None:
    first, *rest = many.estimate.experiments
    parts = {"syntax": Spread.exact(20.0, "stated"), "timing": Spread.exact(3200.0, "stated")}

    def stage(kind: str, gpus: float, term: str, seconds: float, **more: object) -> StageEstimate:
        spent = Spread.exact(seconds, "stated")
        return StageEstimate(name=kind, kind=kind, by="gpu", gpus=Range.point(gpus), rows=None,
                             epochs=None, steps=0, tokens=None, terms_s={term: spent}, wall_s=spent, gpu_s=spent,
                             left_out=(), **more)  # fmt: skip

    chain = (stage("generate", 8, "generation", 750.0), stage("verify", 1, "checks", 1800.0, details={"checks": parts}))
    generating = Stage(name="", kind="generate", generate=Generation(prompts=20, samples=10))
    planned = Experiment(id=first.id, phase="1", name="", stages=(generating, Stage(name="", kind="verify")))
    answer = replace(
        many,
        estimate=replace(many.estimate, experiments=(replace(first, stages=chain), *rest)),
        plan=replace(many.plan, experiments=(planned, *many.plan.experiments[1:])),
    )
    lines = section(answer, "Generation and checks")
    assert "25 × 30 s = 12.5 min" in lines[0]
    assert lines[1].strip() == "200 samples on 8 GPUs"
    assert "200 × 16.1 s = 53.7 min one after the other" in lines[2]
    assert "counted: 30 min" in lines[3]


# ---- refusals


def test_a_budget_that_the_middle_exceeds_is_refused(one: Answer, many: Answer) -> None:
    assert refused(one, fit=True, budget=True) == ("over the cost limit: $1.00, needs $1.12 ($0.88–$1.36)",)
    assert refused(one, fit=True, budget=False) == ()
    assert refused(many, fit=True, budget=True) == ()


def test_of_several_budgets_of_one_kind_the_largest_counts(one: Answer) -> None:
    check = one.calendar.limits[0]
    choices = (check, replace(check, limit=2.0))
    assert refused(replace(one, calendar=replace(one.calendar, limits=choices)), fit=False, budget=True) == ()


def test_a_run_that_may_not_fit_is_refused(many: Answer) -> None:
    tight = tuple(replace(item, fits="uncertain") for item in many.estimate.experiments)
    answer = replace(many, estimate=replace(many.estimate, experiments=tight))
    assert refused(answer, fit=True, budget=False) == (
        "4 experiments may not fit in memory: 1/short, 2A/middle, 2A/long",
    )


def test_a_time_limit_is_refused_with_its_figures(one: Answer) -> None:
    check = replace(one.calendar.limits[0], what="wall", unit="s", limit=600.0, need=one.estimate.wall_s)
    tight = replace(one, calendar=replace(one.calendar, limits=(check,)))
    assert refused(tight, fit=False, budget=True) == ("over the time limit: 0.167 h, needs 18.7 min (14.7–22.7)",)


@pytest.mark.parametrize(("days", "said"), [(1, "1 day left"), (0, "0 days left"), (-1, "1 day too late"),
                                            (-12, "12 days too late"), (30, "30 days left")])  # fmt: skip
def test_days_to_the_deadline_are_counted_as_people_count(many: Answer, days: int, said: str) -> None:
    check = LimitCheck(what="deadline", unit="days", limit=days, need=many.calendar.days, verdict="over")
    shown = section(replace(many, calendar=replace(many.calendar, limits=(check,))), "Calendar")
    assert shown[0].split(maxsplit=1)[1].startswith(f"{said}: ")


def test_one_time_limit_of_a_single_run_is_in_the_calendar_and_several_are_beside_their_epochs(one: Answer) -> None:
    limit = Value(range=Range.point(600.0), unit="s", text="10 min")
    afforded = Affordable(budget=limit, epochs=0, epochs_p90=0, wall_s=0.0)
    epochs = EpochTable(experiment="run", epoch_s=one.estimate.wall_s, fixed_s=Spread.exact(0.0, "assumed"),
                        steps_per_epoch=1000, rows=8000, budgets=(afforded,))  # fmt: skip
    check = replace(one.calendar.limits[0], what="wall", unit="s", limit=600.0, need=one.estimate.wall_s)
    answer = replace(one, calendar=replace(one.calendar, limits=(check,)), epochs=epochs)
    assert section(answer, "Calendar")[0].endswith("needs 18.7 min (14.7–22.7)")
    several = replace(answer, epochs=replace(epochs, budgets=(afforded, afforded)))
    assert "Calendar" not in shown(several)


def test_a_need_below_a_day_is_not_0_days(one: Answer) -> None:
    check = LimitCheck(what="deadline", unit="days", limit=-1.0, need=one.calendar.days, verdict="over")
    late = replace(one, calendar=replace(one.calendar, limits=(check,)))
    assert refused(late, fit=False, budget=True) == ("over the deadline: 1 day too late, needs 0.0130 days",)
