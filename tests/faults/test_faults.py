"""A drawn part of the faults; `python -m tests.faults` tries them all."""

import pytest

from tests.faults.harness import tried
from tests.faults.outcome import BAD

MOST = 1  # of each step and file


@pytest.mark.slow
def test_a_drawn_part_of_the_faults_leaves_nothing_silently_wrong() -> None:
    outcomes = tried(seed=1, most=MOST, kinds=("step", "damage"), processes=2)
    assert len(outcomes) > 25
    assert [outcome for outcome in outcomes if outcome.verdict in BAD] == []
