"""Lengths of bars, by their names."""

DAY_S = 86_400

INTERVALS: dict[str, int] = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "6h": 21_600,
    "8h": 28_800, "12h": 43_200, "1d": DAY_S, "3d": 3 * DAY_S, "1w": 7 * DAY_S, "1M": 2_629_800,
}  # fmt: skip
"""Seconds by name. A month is the mean one, a twelfth of 365.25 days."""
