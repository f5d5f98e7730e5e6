"""Values for all gauges."""

from app.observe.meters import Meters


def refresh(meters: Meters, *, evictions: int = 0, dropped: int = 0, opened: int = 0) -> None:
    """All gauges."""
    meters.refresh(
        l1_entries=3,
        l1_max_entries=10,
        evictions=evictions,
        in_flight=2,
        in_flight_decisions=5,
        max_in_flight_decisions=100,
        pending_loads=1,
        oldest=({"price": 5.0, "agents": 7.0}, {"price": 2.0, "agents": 0.0}),
        ready=True,
        draining=False,
        feed_connected=False,
        feed_lag_s=0.25,
        breaker_closed=True,
        breaker_opened=opened,
        newest_input_age_s=3.0,
        log_lines_dropped=dropped,
    )
