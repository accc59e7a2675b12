"""Student's t against the table of Abramowitz & Stegun (26.10)."""

from __future__ import annotations

import pytest

from headway.domain.student import student


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 3.07768), (2, 1.88562), (3, 1.63774), (4, 1.53321), (5, 1.47588), (10, 1.37218), (30, 1.31042),
     (1e6, 1.28155)],
)  # fmt: skip
def test_the_90_percent_point_is_that_of_the_table(freedom: float, quantile: float) -> None:
    assert student(0.9, freedom) == pytest.approx(quantile, rel=1e-3)
