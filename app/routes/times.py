"""Times in queries and answers of market data: what people write, and epoch microseconds."""

import re
from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_US = 86_400_000_000
_UNITS_US = {9: (1_000_000, 1), 12: (1000, 1), 15: (1, 1), 18: (1, 1000)}
"""By the fewest digits: what a unit is in microseconds, and the other way round."""

TIME_PATTERN = (
    r"^(?:0|[1-9][0-9]{8,9}|[1-9][0-9]{11,12}|[1-9][0-9]{14,15}|[1-9][0-9]{17,18}"
    r"|[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?(?:Z|[ +-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?)$"
)
TIME_RULE = (
    "ISO 8601, as 2024-03-01 or 2024-03-01T14:30:00Z (UTC where it has no zone), or an epoch in seconds (9 or 10 digits),"
    " milliseconds (12 or 13), microseconds (15 or 16) or nanoseconds (18 or 19)"
)
_is_time = re.compile(TIME_PATTERN.removeprefix("^").removesuffix("$")).fullmatch
_parts = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:.(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([ +-])(\d\d):?(\d\d))?)?", re.ASCII
).fullmatch


def time_us(text: str) -> int:
    """Epoch microseconds of ``text``, cut from finer; negative before 1970. A + that became a space is taken for one.

    Raises:
        ValueError: it is no time; ``TIME_RULE`` says what one is.
    """
    if not _is_time(text):
        raise ValueError(text)
    found = _parts(text)
    if found is None:
        times, by = _UNITS_US.get(len(text) - len(text) % 3, (1, 1))
        return int(text) * times // by
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    seconds = (int(hour or 0) * 60 + int(minute or 0)) * 60 + int(second or 0)
    ahead_s = (int(hours or 0) * 60 + int(minutes or 0)) * (-60 if sign == "-" else 60)
    return days * _DAY_US + (seconds - ahead_s) * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])
