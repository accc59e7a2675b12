"""What is doubtful, partly known or unknown: said as such, and never more exact than it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.report.shown import section, shown

from headway.cost.billing import bill
from headway.cost.calendar import LimitCheck
from headway.cost.segments import Segment
from headway.domain.lookup import Price
from headway.domain.spread import Spread, total
from headway.domain.units import Range
from headway.report.answer import Answer
from headway.report.contract import estimate_document
from headway.report.figures import MEDIANS
from headway.report.sections.machines import energy_basis
from headway.report.verdicts import refused

# ---- memory


def test_the_peak_is_shown_against_what_is_usable(one: Answer) -> None:
    assert "fits: peak 4.00 GB (3.00–5.00) of 25.2 GB usable" in " ".join(shown(one).split())
    assert "on RTX 4090 (sold as 24 GB)" in " ".join(section(one, "Memory"))


def test_what_may_not_fit_says_how_likely_it_fits(one: Answer) -> None:
    run = one.estimate.experiments[0]
    basis = replace(run.stages[0].basis, fits="uncertain", fits_probability=0.702)
    tight = replace(run, stages=(replace(run.stages[0], basis=basis),))
    made = replace(one.estimate, experiments=(tight,))
    words = " ".join(shown(replace(one, estimate=made), 120).split())
    assert "may not fit: fits with a probability of 70 %; peak 4.00 GB" in words


# ---- sums of draws


def drawn(seed: int, scale: float) -> Spread:
    """Skewed draws, whose medians do not add up."""
    return Spread.from_draws(np.random.default_rng(seed).lognormal(0, 1, 500) * scale, "predicted")


def test_medians_that_do_not_add_up_are_explained_once_and_only_there(many: Answer) -> None:
    assert MEDIANS not in " ".join(shown(many).split())
    first, second = drawn(1, 3600), drawn(2, 7200)
    phases = tuple(replace(phase, gpu_s={"1": first, "2": second}.get(phase.id, phase.gpu_s))
                   for phase in many.estimate.phases)  # fmt: skip
    made = replace(many.estimate, phases=phases, subtotal_gpu_s=total((first, second)))
    assert abs(first.p50 + second.p50 - made.subtotal_gpu_s.p50) > 0.005 * made.subtotal_gpu_s.p50
    assert MEDIANS in " ".join(section(replace(many, estimate=made), "Phases"))


def test_what_an_option_saves_is_said_to_be_a_difference_of_draws(many: Answer) -> None:
    assert "difference" not in " ".join(section(many, "Options"))
    option = replace(many.options[0], gpu_s=drawn(1, 3600), saves_gpu_s=drawn(2, 7200))
    assert "p50 of the difference" in " ".join(section(replace(many, options=(option,)), "Options"))


def test_shares_of_a_drawn_total_are_not_sold_as_the_terms_own_ends(one: Answer) -> None:
    assert "own p10" not in " ".join(section(one, "Time by term"))
    made = replace(one.estimate, wall_s=drawn(1, 1000))
    lines = section(replace(one, estimate=made), "Time by term", 120)
    assert "each (own p50)" in lines[0]
    assert "they are not each term's own p10, p50 and p90" in " ".join(" ".join(lines).split())
    assert any("1,000 × 1 s" in line for line in lines)


# ---- what is unknown


@pytest.fixture
def partly_known(many: Answer) -> Answer:
    """The plan of `many` where the long run has no rate for its steps, only 60 s of loading."""
    long = many.estimate.experiments[2]
    bare = replace(long.stages[0], terms_s={"load": Spread.exact(60.0, "predicted")}, left_out=("step",),
                   wall_s=Spread.exact(60.0, "predicted"), gpu_s=Spread.exact(60.0, "predicted"))  # fmt: skip
    runs = [replace(item, stages=(bare,), wall_s=bare.wall_s, gpu_s=bare.gpu_s) if item is long else item
            for item in many.estimate.experiments]  # fmt: skip
    made = replace(many.estimate, experiments=tuple(runs), left_out={"step": "1 stage"})
    limit = LimitCheck(what="wall", unit="s", limit=1e9, need=made.wall_s, verdict="within")
    return replace(many, estimate=made, calendar=replace(many.calendar, limits=(limit,)))


def test_a_total_without_its_training_steps_is_unknown_and_its_rest_is_named(partly_known: Answer) -> None:
    words = " ".join(shown(partly_known).split())
    assert "time unknown: no rate for training steps (1 stage) under --rates stated; 12.1 GPU-hours of every" in words
    assert "money unknown" in words
    assert "budget 277,778 h: cannot be judged, the need is unknown" in words
    assert "Options" not in words


def test_only_what_lacks_the_rate_is_unknown(partly_known: Answer) -> None:
    phases = {line.split()[0]: line.split()[-2] for line in section(partly_known, "Phases", 120)[1:5]}
    assert phases == {"1": "1.0", "2": "unknown", "2A": "unknown", "2B": "4.0"}
    runs = [line.split()[-1] for line in section(partly_known, "Experiments", verbose=True)
            if line.split()[0] in ("Short", "Middle", "Long", "Chain")]  # fmt: skip
    assert runs == ["1.0", "2.0", "unknown", "4.0"]
    assert section(partly_known, "Questions")[2].split()[-1] == "unknown"


def test_a_price_needs_no_hours(nothing_known: Answer) -> None:
    rows = {line.split()[0]: line.split() for line in section(nothing_known, "Machines")}
    assert "3.60" in rows["cloud"]
    assert rows["cloud"][-1] == "unknown"


def test_a_limit_that_the_known_part_exceeds_alone_is_refused(partly_known: Answer) -> None:
    limits = (replace(partly_known.calendar.limits[0], limit=3600.0), partly_known.calendar.limits[0])
    tight = [replace(partly_known, calendar=replace(partly_known.calendar, limits=limits[:n])) for n in (1, 2)]
    assert [refused(one, fit=False, budget=True) for one in tight] == [
        ("over the time limit: 1.00 h, needs 12.1 h at least",), (),
    ]  # fmt: skip


def test_programs_get_null_for_what_lacks_its_rate(partly_known: Answer) -> None:
    document = estimate_document(partly_known)
    for figure in ("gpu_hours", "wall_hours", "cost_usd", "energy_kwh", "subtotal_gpu_hours"):
        assert document["totals"][figure] is None
    assert [one["gpu_hours"] is None for one in document["phases"]] == [False, True, True, False]
    assert [one["gpu_hours"] is None for one in document["experiments"]] == [False, False, True, False]
    assert document["calendar"]["days"] is None
    assert document["calendar"]["limits"][0]["verdict"] == "unknown"
    assert (document["bill"], document["schedules"], document["scenarios"]) == (None, [], [])


# ---- money


def test_a_spot_bill_says_that_no_interruption_is_counted(one: Answer) -> None:
    price = Price(usd_per_hour=Range.point(1.8), kind="stated", source="plan")
    spot = replace(one.lookup.machines["cloud"], spot_price=price, hazard_per_hour=Range.point(0.5))
    bought = bill([Segment(id="a", name="a", gpus=1, wall=one.estimate.wall_s)], spot, pricing="spot")
    answer = replace(one, lookup=replace(one.lookup, machines={"cloud": spot}),
                     machines=(replace(one.machines[0], bill=bought),))  # fmt: skip
    words = " ".join(shown(answer).split())
    # 1 - 0.5^(1122.5 / 3600) = 0.194
    assert "no interruption counted; one is 19.4 % likely within 18.7 min" in words
    assert section(answer, "Bill of cloud")[1].split() == ["GPU", "work", "0.31", "$0.56"]
    assert "interruption" not in shown(one)


def test_a_reserved_machine_has_its_bill_shown(one: Answer) -> None:
    assert "Bill of cloud" not in shown(one)
    bought = replace(one.machines[0].bill, pricing="reserved")
    assert "Bill of cloud" in shown(replace(one, machines=(replace(one.machines[0], bill=bought),)))


def test_cooling_is_named_with_its_factor(one: Answer) -> None:
    terms = {"gpus": Spread.exact(100.0, "assumed"), "host": Spread.exact(82.0, "assumed")}
    cooled = {**terms, "cooling": Spread.exact(182.0 * 0.58, "assumed")}
    assert one.energy is not None
    assert energy_basis(replace(one.energy, terms=cooled, basis="700 W")) == "700 W × 1.58 for cooling"
    assert energy_basis(replace(one.energy, terms=terms, basis="700 W")) == "700 W"


# ---- effects too small to matter


def test_effects_below_half_a_percent_are_counted_and_shown_only_when_asked_for(one: Answer) -> None:
    small = replace(one.sensitivity[0], name="links", favourable_s=-5.0, unfavourable_s=5.0)  # 0.45 % of 1122.5 s
    answer = replace(one, sensitivity=(*one.sensitivity, small))
    for verbose in (False, True):
        lines = section(answer, "What moves the total", verbose=verbose)
        assert not any("links" in line for line in lines)
        assert "1 below 0.5 % of the total: --sensitivity." in lines[-1]
    assert any("links" in line for line in section(answer, "What moves the total", sensitivity=True))
    assert "What moves" not in shown(replace(one, sensitivity=(small,)))
