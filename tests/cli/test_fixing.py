"""`headway check --fix`: what is changed, how often it is looked at, and what of the file stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.app.fix import cured
from headway.check.fix import fixed
from headway.cli import headway
from headway.cli.refusals import exit_code_of
from headway.domain.errors import Finding, Fix, Position

COUNTED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1k, length: {mean: 128, max: 128}}
micro_batch: 8
adapter: {method: lora, rank: 4, targets: all-linear}
run: {machine: RTX 4090}
claims: {trainable: 2.5M, parameters: 620M}
"""
SAVING = """headway: 1
model: huggyllama/llama-7b
adapter: {method: lora, rank: 64}
data: {rows: 304k, length: 64}
batch: 128
save: {every: 50 steps, keep: 2}
stated: {step: 1 s, checkpoint: 7.5 s}
run: {machine: A100 SXM 80GB}
"""


def run(*words: str) -> int:
    return exit_code_of(lambda: headway.main(["check", *words], standalone_mode=False))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("plan.yaml")
    path.write_text(COUNTED, encoding="utf-8")
    return path


def test_line_ends_stay_as_they_are(plan: Path) -> None:
    plan.write_bytes(COUNTED.replace("\n", "\r\n").encode())
    run("plan.yaml", "--fix", "--select", "HW309,HW310")
    after = plan.read_bytes()
    assert b"trainable: 2.2M, parameters: 494M" in after
    assert after.count(b"\r\n") == after.count(b"\n") == COUNTED.count("\n")


def test_a_line_that_a_fix_adds_ends_as_the_others() -> None:
    fix = Fix(where=Position("p", 2, 1), old="b", new="x: 1\nb", says="")
    finding = Finding(code="HW531", severity="info", message="m", fix=fix)
    assert fixed("a: 1\r\nb: 2\r\n", [finding])[0] == "a: 1\r\nx: 1\r\nb: 2\r\n"
    assert fixed("a: 1\nb: 2\n", [finding])[0] == "a: 1\nx: 1\nb: 2\n"


def test_a_link_is_written_through(plan: Path) -> None:
    link = Path("link.yaml")
    link.symlink_to(plan)
    run("link.yaml", "--fix", "--select", "HW309,HW310")
    assert link.is_symlink()
    assert "trainable: 2.2M" in plan.read_text(encoding="utf-8")


def test_a_plan_is_checked_until_nothing_changes(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three fixes, each of which shows the next; a rule that never ends is left after nine passes."""

    def counting(source: object, request: object, *, text: str, **_: object) -> tuple[Finding, ...]:
        rank = int(text.partition("rank: ")[2].partition(",")[0])
        at = text.splitlines()[4].index("rank: ") + 7
        fix = Fix(where=Position("plan.yaml", 5, at), old=str(rank), new=str(rank + 1), says=f"rank {rank + 1}")
        return (Finding(code="HW101", severity="error", message="m", fix=fix),) if rank < last else ()

    monkeypatch.setattr("headway.app.fix.findings", counting)
    last = 7
    after = cured(str(plan))
    assert "rank: 7," in after.text
    assert [fix.says for fix in after.fixes] == ["rank 5", "rank 6", "rank 7"]
    assert after.findings == ()
    last = 1000
    after = cured(str(plan))
    assert len(after.fixes) == 9
    assert after.findings
    assert plan.read_text(encoding="utf-8") == COUNTED


def test_files_beside_the_plan_are_found_while_it_is_fixed(plan: Path) -> None:
    Path("sub").mkdir()
    Path("sub/lengths.txt").write_text("128\n64\n" * 20, encoding="utf-8")
    beside = Path("sub/plan.yaml")
    beside.write_text(COUNTED.replace("{mean: 128, max: 128}", "lengths.txt"), encoding="utf-8")
    assert run("sub/plan.yaml", "--select", "HW310") == 1
    assert run("sub/plan.yaml", "--fix", "--select", "HW310") == 0


def test_a_change_of_the_run_is_made_when_it_is_asked_for(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text(SAVING, encoding="utf-8")
    assert run("plan.yaml", "--select", "HW804", "--json") == 1
    [found] = json.loads(capsys.readouterr().out)["findings"]
    assert found["fix"]["safe"] is False
    assert run("plan.yaml", "--select", "HW804", "--fix") == 1
    assert plan.read_text(encoding="utf-8") == SAVING
    shown = capsys.readouterr().out
    assert "1 can be changed by --fix --unsafe-fixes" in shown
    assert "next: headway check plan.yaml --fix --unsafe-fixes" in shown
    assert run("plan.yaml", "--select", "HW804", "--fix", "--unsafe-fixes") == 0
    assert "every: 50 steps" not in plan.read_text(encoding="utf-8")


def test_the_page_counts_both_kinds(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text(SAVING + "claims: {parameters: 9B}\n", encoding="utf-8")
    run("plan.yaml", "--select", "HW804,HW310")
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 can be changed by --fix, 1 more by --fix --unsafe-fixes" in shown
    assert "next: headway check plan.yaml --fix" in shown


def test_unsafe_fixes_alone_are_a_misuse(plan: Path) -> None:
    assert run("plan.yaml", "--unsafe-fixes") == 2
