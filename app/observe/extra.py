"""Whether there can be traces: OpenTelemetry is an extra, and nothing imports it before this was asked."""


def traces_refusal() -> str | None:
    """Why there can be none, if so; by then OpenTelemetry's variables are lent to it."""
    try:
        from app.observe.exporting import refusal  # noqa: PLC0415 - it may not be there
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        return "TRACES is 'on' and OpenTelemetry is not installed; allowed: off, or on with requirements-traces.lock installed"
    return refusal()
