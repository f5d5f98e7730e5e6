"""How the server is, and what it is; and pages for people."""

from app.messages import LiveStats
from app.observe.meters import CONTENT_TYPE as METRICS_TYPE
from app.observe.meters import OPEN_METRICS_CONTENT_TYPE as OPEN_METRICS_TYPE
from app.payloads import HealthResponse, ReadyResponse, StatusResponse, VersionResponse
from app.push.sse import MEDIA_TYPE as EVENTS_TYPE
from app.routes import examples as shown
from app.routes.table.entry import Answer, Entry, Operation, Parameter

SERVER: tuple[Entry, ...] = (
    Operation(
        name="live",
        lasting=True,
        needs="read",
        method="GET",
        path="/live",
        tag="server",
        summary="How this worker does, second by second",
        description="Server-sent events without end; data: `LiveStats`. For people who watch; programs scrape `/metrics`.",
        answers=(Answer(200, "Events.", {"type": "string"}, shown.LIVE, media_type=EVENTS_TYPE, events={"message": LiveStats}),),
        problems=("draining", "too-many-clients"),
    ),
    Operation(
        name="health",
        needs="any",
        cost="free",
        queue="probe",
        method="GET",
        path="/health",
        tag="server",
        summary="The whole picture, for people",
        description="Always 200 while the server can say it. `reason` says what is wrong: L2, the market store, the feed, the"
        " data's age, or that most decisions of the last minute rest on no input. Probes are `/livez` and `/readyz`.",
        answers=(Answer(200, "How the server is.", HealthResponse, shown.HEALTH),),
    ),
    Operation(
        name="livez",
        needs="any",
        cost="free",
        queue="probe",
        method="GET",
        path="/livez",
        tag="server",
        summary="Whether the process lives",
        description="For probes that restart it.",
        answers=(Answer(200, "The event loop turns.", ReadyResponse, shown.ALIVE),),
    ),
    Operation(
        name="readyz",
        needs="any",
        cost="free",
        queue="probe",
        method="GET",
        path="/readyz",
        tag="server",
        summary="Whether it wants requests",
        description="For balancers. It does not depend on L2: an outage of it must not take all instances out at once.",
        answers=(
            Answer(200, "Data was loaded.", ReadyResponse, shown.ALIVE),
            Answer(503, "No data was loaded yet, or the worker is about to stop.", ReadyResponse, shown.NOT_READY),
        ),
    ),
    Operation(
        name="status",
        needs="admin",
        method="GET",
        path="/status",
        tag="server",
        summary="What this worker holds and was told",
        description="The loaded run, both tiers and the settings; secrets only as set or not set.",
        answers=(Answer(200, "The worker's status.", StatusResponse, shown.STATUS),),
    ),
    Operation(
        name="version",
        needs="read",
        method="GET",
        path="/version",
        tag="server",
        summary="What is running",
        description="The server, its policy and the fingerprint of its vector.",
        answers=(Answer(200, "Versions.", VersionResponse, shown.VERSIONS),),
    ),
    Operation(
        name="metrics",
        needs="read",
        cost="free",
        queue="metrics",
        method="GET",
        path="/metrics",
        tag="server",
        summary="Metrics",
        description="In Prometheus's text format, or in OpenMetrics, with exemplars, for those who accept that.",
        answers=(
            Answer(
                200, "Samples.", {"type": "string"}, shown.METRICS, media_type=METRICS_TYPE, other_media_type=OPEN_METRICS_TYPE
            ),
        ),
    ),
    Operation(
        name="openapi",
        needs="open",
        cost="free",
        method="GET",
        path="/openapi.json",
        tag="server",
        summary="This document",
        description="OpenAPI 3.1.",
        parameters=(
            Parameter("If-None-Match", "header", {"type": "string"}, "An ETag; while the document is still that one: 304."),
        ),
        answers=(
            Answer(
                200,
                "The document.",
                {"type": "object", "required": ["components", "info", "openapi", "paths"]},
                headers=("ETag", "Cache-Control"),
            ),
            Answer(304, "It has not changed.", None, headers=("ETag", "Cache-Control")),
        ),
    ),
    *(
        # They hold no data, and ask for it with the caller's own key.
        Entry(name=name, needs="open", cost="free", method="GET", path=path, tag="server")
        for name, path in (
            ("console", "/"),
            ("consoleFile", "/console/{name}"),
            ("docs", "/docs"),
            ("docsFile", "/docs/{name}"),
            ("redoc", "/redoc"),
        )
    ),
)
