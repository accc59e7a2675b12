"""`headway diff` on files and on revisions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from headway.cli import headway
from headway.cli.refusals import exit_code_of

OLD = """headway: 1
model: Qwen/Qwen2-0.5B
adapter: {method: lora, rank: 4}
data: {rows: 1k, length: 100}
max_length: 128
run: {machine: RTX 4090}
"""
NEW = OLD.replace("rows: 1k", "rows: 2k")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits of sub/plan.yaml, in its subfolder."""

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *words], cwd=tmp_path, check=True,
                       capture_output=True)  # fmt: skip

    sub = tmp_path / "sub"
    sub.mkdir()
    git("init", "-q")
    for text in (OLD, NEW):
        (sub / "plan.yaml").write_text(text, encoding="utf-8")
        git("add", ".")
        git("commit", "-qm", "plan")
    monkeypatch.chdir(sub)
    return sub


def test_a_revision_is_compared_with_a_file(folder: Path) -> None:
    shown = CliRunner().invoke(headway, ["diff", "HEAD~1:plan.yaml", "plan.yaml", "--json"])
    document = json.loads(shown.stdout)
    assert document["old"] == "HEAD~1:plan.yaml"
    [change] = document["experiments"]
    assert change["sign"] == "~"
    assert change["after"]["gpu_hours"] > 1.5 * change["before"]["gpu_hours"]


def test_a_path_from_the_root_of_the_repository_is_read_as_git_reads_it(folder: Path) -> None:
    rooted, near = (
        json.loads(CliRunner().invoke(headway, ["diff", name, "plan.yaml", "--json"]).stdout)["experiments"]
        for name in ("HEAD~1:sub/plan.yaml", "HEAD~1:plan.yaml")
    )
    assert rooted == near != []


def test_two_files_as_markdown(folder: Path) -> None:
    Path("old.yaml").write_text(OLD.replace("headway: 1", "headway: 1\nname: plan"), encoding="utf-8")
    shown = CliRunner().invoke(headway, ["diff", "old.yaml", "plan.yaml", "--format", "md"])
    assert shown.stdout.startswith("# old.yaml → plan.yaml")
    assert "| \\~ | plan | +" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("HEAD~9:plan.yaml", "plan.yaml"), 3),
        (("HEAD:nowhere.yaml", "plan.yaml"), 3),
        (("--upload-pack=x:plan.yaml", "plan.yaml"), 2),
        (("gone.yaml", "plan.yaml"), 3),
        (("plan.yaml",), 2),
    ],
)
def test_what_cannot_be_compared_is_refused(folder: Path, words: tuple[str, ...], code: int) -> None:
    assert exit_code_of(lambda: headway.main(["diff", *words], standalone_mode=False)) == code
