"""The console at /: one page and its files, from memory. Nothing is built and nothing comes from elsewhere.

What draws candles is kept in ``console/lightweight-charts`` as TradingView publishes it, with its version, licence and notice;
`just lightweight-charts` brings a newer one. The page loads it once there are candles to draw.
"""

from pathlib import Path

from app.routes.assets import REVALIDATED, Asset, Page

_FOLDER = Path(__file__).resolve().parent.parent / "console"
_LIBRARY = "lightweight-charts/lightweight-charts.standalone.production.mjs"
_PAGE = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "Cache-Control": REVALIDATED,
    "Content-Security-Policy": "; ".join(
        (
            *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"),
            *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
            *("require-trusted-types-for 'script'", "trusted-types 'none'"),
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every file is sent with: no inline script or style, nothing from another origin, no text that becomes script."""


def console_page(folder: Path = _FOLDER) -> Page:
    """The page, from files that are read once."""
    files = {
        path.name: Asset(path.read_bytes(), _MEDIA_TYPES[path.suffix], HEADERS)
        for path in (*sorted(folder.iterdir()), folder / _LIBRARY)
        if path.suffix in _MEDIA_TYPES
    }
    return Page(files[_PAGE], files)
