"""The one bar of a job: it never goes back, is full at the end alone, and its remaining time is of the whole job."""

import numpy as np
import pytest

from negrefine_core.jobs.plan import FULL, USUAL, Part, Plan
from negrefine_core.progress import in_turn

MINE, JUDGE = Part("prompts", 1000, "prompts by demo", "model"), Part("labels", 100, "labels by a judge", "server")
SCORE, MEASURE = Part("images", 400, "images by demo", "model"), Part("comparisons", 0, "comparisons", "machine")


def test_the_share_of_a_job_never_falls_whatever_its_steps_turn_out_to_hold() -> None:
    drawn = np.random.default_rng(0)
    kinds, rates = [MINE, JUDGE, SCORE, MEASURE], [None, 0.001, 3.0, 1e6]
    for _ in range(200):
        parts = [kinds[i] for i in drawn.integers(4, size=drawn.integers(1, 6))]
        plan, shares = Plan(parts, {}), [0.0]
        for place in range(len(parts)):
            total = int(drawn.choice([0, 1, 7, 100, 100_000]))
            for done in np.sort(drawn.integers(total + 2, size=6)).tolist():
                share, eta = plan.at(place, done, total, rates[drawn.integers(4)])
                assert eta is None or eta >= 0
                shares.append(share)
        assert shares == sorted(shares)
        assert shares[-1] <= FULL


def test_no_time_is_told_before_the_rate_of_every_step_ahead_is_known() -> None:
    plan = Plan([MINE, JUDGE, MEASURE], {})
    assert plan.at(0, 0, 1000, None)[1] is None
    assert plan.at(0, 500, 1000, 100.0)[1] is None  # the judge's is not
    assert plan.at(1, 0, 100, 10.0)[1] == pytest.approx(10 + 1 / USUAL["comparisons"])


def test_the_models_other_work_tells_how_long_a_step_will_take_that_is_not_measured_yet() -> None:
    plan = Plan([MINE, SCORE], {})
    assert plan.at(0, 0, 1000, None)[1] is None
    as_usual = 500 / USUAL["prompts"] + 400 / USUAL["images"]
    assert plan.at(0, 500, 1000, USUAL["prompts"] / 4)[1] == pytest.approx(4 * as_usual)


def test_the_time_left_is_of_all_steps_ahead_by_the_rates_measured_now_and_before() -> None:
    plan = Plan([MINE, JUDGE, SCORE, SCORE], {"labels by a judge": 2.0, "images by demo": 40.0})
    assert plan.at(0, 500, 1000, 100.0)[1] == pytest.approx(5 + 50 + 10 + 10)
    plan.at(1, 100, 100, 4.0)
    assert plan.at(2, 200, 400, 20.0)[1] == pytest.approx(10 + 20)  # the last set goes as this one does
    assert plan.rates == {"prompts by demo": 100.0, "labels by a judge": 4.0, "images by demo": 20.0}


def test_a_step_in_which_nothing_was_left_to_do_counts_as_done() -> None:
    plan = Plan([SCORE, SCORE], {"images by demo": 10.0})
    assert plan.ended(0) == (0.5, 40)
    assert plan.at(1, 0, 400, None) == (0.5, 40)
    assert plan.at(1, 400, 400, None) == (FULL, 0)


def test_pieces_of_work_in_turn_are_told_to_one_bar() -> None:
    told: list[tuple[int, int]] = []
    first, second = in_turn(lambda done, total: told.append((done, total)), [80, 20])
    assert first
    assert second
    for each in (first, second):
        each(0, 10)
        each(5, 10)
        each(10, 10)
    assert told == [(0, 100), (40, 100), (80, 100), (80, 100), (90, 100), (100, 100)]
    assert in_turn(None, [1, 2]) == [None, None]
