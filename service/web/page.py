"""Rendering: one Jinja environment that escapes everything, one language per request."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from aiohttp import web
from markupsafe import Markup

from service.web import words
from service.web.assets import url as static_url
from service.web.words import Lang

LANG_COOKIE: Final = "lang"
_YEAR_S: Final = 365 * 86400


def _without_marks(value: object) -> object:
    """What a template puts out, without marks that would turn the text around it."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return words.plain(value)
    return value


ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(str(files("service.web"))) / "templates"),
    autoescape=True,
    finalize=_without_marks,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


def other(lang: Lang) -> Lang:
    return "en" if lang == "zh" else "zh"


def language(request: web.Request) -> Lang:
    """`?lang=`, else what the phone remembers, else Chinese."""
    asked = request.query.get("lang") or request.cookies.get(LANG_COOKIE)
    return "en" if asked == "en" else "zh"


def with_query(request: web.Request, **changes: str | None) -> str:
    """A link to this same page with some parameters set, or left out where None.

    It holds no path: a path that a stranger chose (`//elsewhere/`) must not become a link.
    """
    query = {key: value for key, value in request.query.items() if key not in changes}
    query.update({key: value for key, value in changes.items() if value is not None})
    return "?" + urlencode(query, errors="replace")


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


ENVIRONMENT.globals.update(
    static=static_url, named=words.named, plain=words.plain, yuan=words.yuan, age=words.age, iso=iso
)


def render(
    request: web.Request, template: str, *, status: int = 200, **values: Any
) -> web.Response:
    """A page in the request's language; remembers the language when it was just chosen."""
    lang = language(request)
    text = ENVIRONMENT.get_template(template).render(
        lang=lang,
        t=words.words(lang),
        other_lang_url=with_query(request, lang=other(lang)),
        **values,
    )
    response = web.Response(text=text, content_type="text/html", status=status)
    response.headers["Cache-Control"] = "no-store"
    response.enable_compression()
    if "lang" in request.query:
        response.set_cookie(
            LANG_COOKIE, lang, max_age=_YEAR_S, path="/", samesite="Lax", httponly=True
        )
    return response
