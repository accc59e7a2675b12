"""HW8xx, interruptions: hazards without a unit one can trust, bids that protect nobody, spot runs that save nothing.

Owns what an interruption may cost. The process itself is `cost/spot`; how often to save is `checkpoints`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.claims.written import GRAVE, gap, said, values
from headway.check.rule import Rule
from headway.cost.spot import expected_wall_s, hazard_sensitivity, interrupted_within, mean_time_between_s
from headway.domain.errors import Finding, UserError
from headway.domain.units import Range, format_duration, format_share, parse

HARMLESS = 0.02
"""A chance of an interruption that is not worth a word."""
ADVISORS = ("aws", "advisor", "amazon")
"""Sources that publish shares of a month."""
_BIDS = ("bid",)
"""Words in a provider's name for its tier by which a higher bid keeps a machine."""
WORTH_S = 1800.0
"""Work of less time may be done again."""


def _hazards(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        hazard = machine.spec.hazard
        if hazard is None or hazard.unknown or hazard.noun not in ("", "h"):
            continue
        if hazard.source and not any(word in hazard.source.lower() for word in ADVISORS):
            continue
        wall_s, share = case.predicted.estimate.wall_s.p50, hazard.text.partition("/")[0]
        hourly, _, monthly = hazard_sensitivity(wall_s, hazard.range)
        if hourly.interrupted_within.mid < HARMLESS:
            continue
        yield HAZARD.finding(
            f"{hazard.text} means {format_share(hourly.interrupted_within.mid)} within {format_duration(wall_s)}; "
            f"read per month, as AWS publishes it, {format_share(monthly.interrupted_within.mid)}",
            where=hazard.where,
            evidence={
                "machine": machine.name, "wall_s": wall_s, "source": hazard.source,
                "per_hour": hourly.interrupted_within.mid, "per_month": monthly.interrupted_within.mid,
            },
            hint=f"Say where it comes from and per what: hazard: {{use: {share}/month, source: ...}}.",
        )  # fmt: skip


def _chances(case: Case) -> Iterator[Finding]:
    """Claimed chances of an interruption against the stated hazard."""
    hazard = case.machine.hazard_per_hour if case.machine is not None else None
    claims = [one for one in case.plan.claims if one.path[0] == "interrupted_within" and values(one)] if hazard else []
    for claim in claims:
        value, time_s = values(claim)[0], _time_s(claim.path[-1])
        if hazard is None or time_s is None:
            continue
        right = interrupted_within(time_s, hazard)
        if gap(value, right) > GRAVE:
            yield CHANCE.finding(
                f"{said(value)} within {claim.path[-1]} is claimed; the stated hazard makes it "
                f"{format_share(right.mid)}",
                where=value.where,
                evidence={"claimed": value.mid, "computed": [right.low, right.mid, right.high], "time_s": time_s},
                hint="Correct the chance, or say per what the hazard is.",
            )


def _time_s(words: str) -> float | None:
    """The seconds that a claim's key names, `8 h`; None where it names no time."""
    try:
        return parse(words, "s").range.mid
    except UserError:
        return None


def _bids(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        bid, tier = machine.spec.max_price, machine.billing.spot_name.lower() if machine.billing else ""
        if bid is None or bid.unknown or any(word in tier for word in _BIDS):
            continue
        price = machine.spec.spot_price
        yield BID.finding(
            f"a max_price of {bid.text} caps what is paid and keeps nothing running: machines are taken back for their "
            "capacity, whatever was offered",
            where=bid.where,
            evidence={"machine": machine.name, "max_price": bid.mid, "spot_price": price.mid if price else None},
            hint="Save often enough instead, and leave max_price at the price on demand.",
        )


def _asks_for_spot(case: Case) -> str:
    """The path of the first key that wants spot prices: the plan's, or an option's; empty where none does."""
    if case.plan.run.pricing == "spot":
        return "run.pricing"
    for id_, option in case.plan.options.items():
        if option.set.get("run.pricing") == "spot":
            return f"options.{id_}.set.run.pricing"
    return ""


def _unsaved(case: Case) -> Iterator[Finding]:
    asked = _asks_for_spot(case)
    if not asked:
        return
    bare = [
        (experiment.id, estimate.wall_s.p50)
        for experiment, stage, estimate in case.stages
        if stage.kind == "train" and stage.save is None and estimate.wall_s.p50 >= WORTH_S
    ]
    if not bare:
        return
    id_, longest_s = max(bare, key=lambda one: one[1])
    machine = case.machine
    hazard = machine.hazard_per_hour if machine is not None else None
    yield UNSAVED.finding(
        f"{len(bare)} training {'run saves' if len(bare) == 1 else 'runs save'} nothing before the end, and a spot "
        f"machine may go at any time: the longest is {id_} with {format_duration(longest_s)}{_risk(longest_s, hazard)}",
        where=case.plan.where(asked),
        evidence={"experiments": [one for one, _ in bare], "longest_s": longest_s},
        hint="Save while training: save: {every: 30 min, keep: 2}.",
    )


def _risk(work_s: float, hazard: Range | None) -> str:
    """What an interruption without checkpoints costs, where a hazard is stated."""
    if hazard is None:
        return ""
    chance = interrupted_within(work_s, hazard).mid
    wall_s = expected_wall_s(work_s, mean_time_between_s(hazard.mid))
    return f", interrupted with {format_share(chance)}; with restarts from zero it takes {format_duration(wall_s)}"


_SPOT = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 100k, length: 1024}}
micro_batch: 4
{keys}run:
  pricing: spot
  machine: {{instance: p5.48xlarge, spot: {{{spot}}}}}
"""

HAZARD = Rule(
    code="HW801",
    name="hazard without a source",
    severity="warning",
    says="A hazard says per what it is, and who measured it.",
    because="AWS's advisor publishes shares of machines interrupted in a month, in bands from under 5 % to over 20 %; "
    "taken per hour, 5 % is 34 % in eight hours, per month 0.06 %. Traces of AWS V100 (2023) show 0.1 to 1.4 "
    "interruptions an hour.",
    fails=_SPOT.format(keys="save: {every: 30 min}\n", spot="price: $25/h, hazard: 5%/h"),
    passes=_SPOT.format(keys="save: {every: 30 min}\n", spot="price: $25/h, hazard: 5%/month"),
    find=_hazards,
)
CHANCE = Rule(
    code="HW809",
    name="chance unlike the hazard",
    severity="error",
    says="A claimed chance of an interruption is what the stated hazard makes of the time.",
    because="1 - (1 - p)^hours: a share of an hour and one of a month are two hazards. Within a tenth it is rounding.",
    fails=_SPOT.format(keys="save: {every: 30 min}\nclaims: {interrupted_within: {8 h: 0.6%}}\n",
                       spot="price: $25/h, hazard: 5%/month"),
    passes=_SPOT.format(keys="save: {every: 30 min}\nclaims: {interrupted_within: {8 h: 0.06%}}\n",
                        spot="price: $25/h, hazard: 5%/month"),
    find=_chances,
)  # fmt: skip
BID = Rule(
    code="HW802",
    name="bid as protection",
    severity="warning",
    says="Nobody counts on a highest price to keep a machine.",
    because="AWS ended bidding in 2018: prices move slowly, and capacity decides who is interrupted "
    "(sparecores.com/article/spot-instance-terminate-rates-per-az).",
    fails=_SPOT.format(keys="save: {every: 30 min}\n", spot="price: $25/h, max_price: $30/h"),
    passes=_SPOT.format(keys="save: {every: 30 min}\n", spot="price: $25/h"),
    find=_bids,
)
UNSAVED = Rule(
    code="HW803",
    name="spot run without saves",
    severity="warning",
    says="Training on machines that may be taken away saves while it runs.",
    because="Without a checkpoint every interruption starts from zero: at one in ten hours, a run of ten hours takes "
    "17 on average (Daly 2006).",
    fails=_SPOT.format(keys="", spot="price: $25/h"),
    passes=_SPOT.format(keys="save: {every: 30 min}\n", spot="price: $25/h"),
    find=_unsaved,
)
RULES = (HAZARD, CHANCE, BID, UNSAVED)
