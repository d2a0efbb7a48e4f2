"""When cron lines fall due, above all where clocks are put forward and back."""

from __future__ import annotations

import datetime as dt
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from sidelamb.cron import LATE_S, MOST_MISSED, Due, check, due, ticks_after
from sidelamb.errors import BadOption

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"
# The local day on which clocks go forward (02:00 is 03:00), and back (Paris at 03:00, New York at 02:00).
FORWARD = {PARIS: dt.date(2026, 3, 29), NEW_YORK: dt.date(2026, 3, 8)}
BACK = {PARIS: dt.date(2026, 10, 25), NEW_YORK: dt.date(2026, 11, 1)}
DOUBLED = {PARIS: 2, NEW_YORK: 1}
ZONES = [PARIS, NEW_YORK]


def midnight(day: dt.date, tz: str) -> float:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(tz)).timestamp()


def on(day: dt.date, cron: str, tz: str) -> list[str]:
    """The ticks of a local day, as that day's clocks show them, with what they are ahead of UTC."""
    start, end = midnight(day, tz), midnight(day + dt.timedelta(days=1), tz)
    ticks = takewhile(lambda at: at < end, ticks_after("p", cron, tz, start - 1))
    return [f"{dt.datetime.fromtimestamp(at, ZoneInfo(tz)):%H:%M%z}" for at in ticks]


def by_wall(day: dt.date, tz: str, minutes: set[int], hours: set[int]) -> list[str]:
    """Each minute of a local day, one after the other, whose clock shows one of these."""
    start, end = midnight(day, tz), midnight(day + dt.timedelta(days=1), tz)
    times = (dt.datetime.fromtimestamp(at, ZoneInfo(tz)) for at in range(int(start), int(end), 60))
    return [f"{at:%H:%M%z}" for at in times if at.minute in minutes and at.hour in hours]


@pytest.mark.parametrize("tz", ZONES)
class TestSummerTime:
    @pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "59 2 * * *", "30 2 29,8 * *", "0,30 2 * * *"])
    def test_a_time_that_the_day_does_not_have_comes_at_the_end_of_the_gap_once(self, tz, cron):
        (only,) = on(FORWARD[tz], cron, tz)
        assert only.startswith("03:00")

    @pytest.mark.parametrize("minute", [0, 15, 45])
    def test_a_time_that_the_day_has_twice_comes_once_the_first_time(self, tz, minute):
        hour = DOUBLED[tz]
        (only,) = on(BACK[tz], f"{minute} {hour} * * *", tz)
        assert only == by_wall(BACK[tz], tz, {minute}, {hour})[0]

    @pytest.mark.parametrize("day", [FORWARD, BACK], ids=["forward", "back"])
    @pytest.mark.parametrize(
        ("cron", "minutes", "hours"),
        [
            ("* * * * *", set(range(60)), set(range(24))),
            ("*/15 * * * *", {0, 15, 30, 45}, set(range(24))),
            ("5-59/20 * * * *", {5, 25, 45}, set(range(24))),
            ("30 * * * *", {30}, set(range(24))),
            ("*/15 1-3 * * *", {0, 15, 30, 45}, {1, 2, 3}),
            ("0 */2 * * *", {0}, set(range(0, 24, 2))),
        ],
    )
    def test_what_repeats_within_the_day_follows_the_clock_on_the_wall(self, tz, day, cron, minutes, hours):
        assert on(day[tz], cron, tz) == by_wall(day[tz], tz, minutes, hours)

    def test_a_list_of_all_hours_is_a_list_of_times_of_day(self, tz):
        assert len(on(BACK[tz], "0 0-23 * * *", tz)) == 24
        assert len(on(FORWARD[tz], "0 0-23 * * *", tz)) == 23

    def test_a_quarter_of_an_hour_is_that_long_through_both_changes(self, tz):
        for day in (FORWARD[tz], BACK[tz]):
            ticks = list(islice(ticks_after("p", "*/15 * * * *", tz, midnight(day, tz)), 200))
            assert {b - a for a, b in pairwise(ticks)} == {900.0}

    def test_the_next_tick_is_the_same_wherever_one_looks_from(self, tz):
        """A scheduler that starts in the middle of the doubled hour, or of the gap, sees what one before sees."""
        for cron in ("30 1 * * *", "30 2 * * *", "*/15 * * * *", "0 3 * * *", "45 * * * *"):
            for day in (FORWARD[tz], BACK[tz]):
                start = midnight(day, tz)
                ticks = list(takewhile(lambda at: at < start + 200_000, ticks_after("p", cron, tz, start)))  # noqa: B023
                for at in range(int(start), int(start) + 5 * 3_600, 300):
                    (found,) = islice(ticks_after("p", cron, tz, at), 1)
                    assert found == next(tick for tick in ticks if tick > at), (cron, at)


def test_a_day_of_the_year_is_the_zones_own():
    (tick,) = islice(ticks_after("p", "0 3 * * *", PARIS, dt.datetime(2026, 7, 1, tzinfo=dt.UTC).timestamp()), 1)
    assert dt.datetime.fromtimestamp(tick, dt.UTC) == dt.datetime(2026, 7, 1, 1, tzinfo=dt.UTC)


class TestWrongLines:
    @pytest.mark.parametrize(
        "cron",
        [
            "61 * * * *",
            "* 24 * * *",
            "a b c d e",
            "* * 0 * *",
            "*/0 * * * *",
            f"{'9' * 5_000} * * * *",
            "5-1 * * * *",
        ],
    )
    def test_a_cron_line_that_is_none(self, cron):
        with pytest.raises(
            BadOption, match=r"periodic night: cron .* cannot be read .*write minute, hour"
        ) as told:
            check("night", cron, "UTC")
        assert len(str(told.value)) < 400

    @pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *"])
    def test_a_day_that_no_year_has(self, cron):
        with pytest.raises(BadOption, match="periodic night: cron"):
            check("night", cron, "UTC")

    @pytest.mark.parametrize("tz", ["Europe/Pariss", "", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b"])
    def test_a_time_zone_that_is_none(self, tz):
        with pytest.raises(BadOption, match="periodic night: there is no time zone"):
            check("night", "* * * * *", tz)

    def test_the_zone_that_was_meant_is_named(self):
        with pytest.raises(BadOption, match="Did you mean 'Europe/Paris'"):
            check("night", "* * * * *", "Europe/Pariss")


class TestMissedTicks:
    START = 1_800_000_000.0

    def due(self, missed: str, late_s: float) -> Due:
        record = {"cron": "* * * * *", "tz": "UTC", "missed": missed}
        return due("p", record, self.START, self.START + late_s)

    @pytest.mark.parametrize("missed", ["once", "skip", "all"])
    def test_a_tick_in_time(self, missed):
        assert self.due(missed, 59) == Due([self.START], self.START, 0, self.START + 60)

    def test_once_enqueues_one_job_for_all(self):
        assert self.due("once", 600) == Due([self.START + 600], self.START + 600, 10, self.START + 660)

    def test_skip_enqueues_none_for_what_is_late(self):
        daily = {"cron": "0 3 * * *", "tz": "UTC", "missed": "skip"}
        (tick,) = islice(ticks_after("p", "0 3 * * *", "UTC", self.START), 1)
        assert due("p", daily, tick, tick + LATE_S - 1).ticks == [tick]
        assert due("p", daily, tick, tick + LATE_S + 1) == Due([], tick, 1, tick + 86_400)

    def test_skip_enqueues_the_one_that_is_not_late(self):
        assert self.due("skip", 600) == Due([self.START + 600], self.START + 600, 10, self.START + 660)

    def test_all_enqueues_each(self):
        assert self.due("all", 120).ticks == [self.START, self.START + 60, self.START + 120]

    def test_all_has_an_end(self):
        found = self.due("all", 30 * 86_400)
        assert len(found.ticks) == MOST_MISSED
        assert found.ticks[-1] == self.START + 30 * 86_400
        assert found.missed > 0
