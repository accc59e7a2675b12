"""`results.csv` of Ultralytics, as published; figures by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.domain.observation import times_of
from headway.logs.read import read_log

HEADER = "epoch,time,train/box_loss,metrics/mAP50(B),val/box_loss,lr/pg0"


def test_epochs_are_told_at_their_moments_and_no_steps(tmp_path: Path) -> None:
    """AbishekEchno77/yolo26-nutrition-detector: 93.3 s for the first epoch, 23.5 and 28.2 s for the next."""
    (tmp_path / "results.csv").write_text(
        f"{HEADER}\n1,93.2846,1.01057,0.0944,0.71757,0.00043\n2,116.739,0.90306,0.22315,0.75367,0.00087\n"
        "3,144.906,0.95781,0.27311,1.05783,0.00128\n"
    )
    log = read_log(tmp_path / "results.csv")
    assert log.format == "ultralytics"
    epochs = [item for item in log.observations if item.kind == "epoch"]
    assert [(item.epoch, item.at_s) for item in epochs] == [(1.0, 93.2846), (2.0, 116.739), (3.0, 144.906)]
    assert [item.seconds for item in epochs] == pytest.approx([93.2846, 23.4544, 28.167])
    assert "epochs" not in epochs[0].values
    evaluations = [item for item in log.observations if item.kind == "evaluation"]
    assert evaluations[0].values == {"mAP50(B)": 0.0944, "box_loss": 0.71757}
    assert times_of(log.observations) == {}
    assert any("counted in epochs" in problem for problem in log.problems)


@pytest.mark.parametrize("first", [0, 1])
def test_an_older_file_has_no_times_and_may_count_from_0(tmp_path: Path, first: int) -> None:
    """YOLOv5 sets its columns to a width, and counts its epochs from 0."""
    rows = "".join(f"  {epoch},   0.1,   0.2,   0.3\n" for epoch in (first, first + 1))
    header = "     epoch,   train/box_loss,   metrics/mAP_0.5,   val/box_loss\n"
    (tmp_path / "results.csv").write_text(header + rows)
    log = read_log(tmp_path / "results.csv")
    assert [(item.epoch, item.seconds) for item in log.observations if item.kind == "epoch"] == [(1, None), (2, None)]
    assert any("without times" in problem for problem in log.problems)


@pytest.mark.parametrize("settings", ["args.yaml", "opt.yaml"])
def test_how_many_epochs_there_are_stands_beside_it(tmp_path: Path, settings: str) -> None:
    (tmp_path / settings).write_text("task: detect\nwarmup_epochs: 3.0\nepochs: 100\nbatch: 16\n")
    (tmp_path / "results.csv").write_text(f"{HEADER}\n1,93.2,1.0,0.1,0.7,0.1\n2,116.7,0.9,0.2,0.7,0.1\n")
    log = read_log(tmp_path / "results.csv")
    assert log.facts["epochs"] == 100
    assert log.observations[-2].values["epochs"] == 100
