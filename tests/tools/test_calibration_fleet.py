"""What the local calibration promises, on a few simulated fleets."""

from statistics import median

from tools.calibration_fleet import decaying_year, errors_by_number


def test_it_narrows_the_error_and_most_where_it_has_seen_enough() -> None:
    errors = errors_by_number(range(6))
    enough = errors["5 to 14"]
    assert median(enough.after) < 0.6 * median(enough.before)
    assert 0.7 <= enough.covered <= 0.9
    for group in errors.values():
        assert median(group.after) < median(group.before)


def test_a_slow_decay_of_the_whole_fleet_is_shown_and_not_learned() -> None:
    months = list(decaying_year(seed=2))
    assert all(correction > -0.03 for _, _, correction, _ in months)
    assert min(decay for _, _, _, decay in months[8:]) < -0.06
