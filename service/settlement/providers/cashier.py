"""The page on which a driver pays the sandbox. It says in both languages that no money moves."""

from html import escape
from typing import Final

from aiohttp import web

from service.tariff.money import shown

_STYLE: Final = """
body{margin:0;background:#f3f4f6;color:#111827;font:17px/1.5 -apple-system,"PingFang SC",
"Noto Sans CJK SC","Microsoft YaHei",sans-serif}
main{max-width:24em;margin:12vh auto 0;padding:1.5em;background:#fff;border-radius:14px;
box-shadow:0 1px 4px #0002;text-align:center}
.note{background:#fef3c7;border-radius:8px;padding:.5em .8em;font-size:.85em}
.sum{font-size:2.6em;font-weight:700;margin:.6em 0 .2em}
button{display:block;width:100%;padding:.8em;margin-top:.7em;border:0;border-radius:10px;
font:inherit;font-weight:600;background:#e5e7eb;color:#111827}
button[value=pay]{background:#2563eb;color:#fff}
"""


def cashier_page(amount_fen: int, currency: str, ref: str, *, paid: bool) -> web.Response:
    """The cashier for one order."""
    if paid:
        action = "<p>已支付 · Already paid</p>"
    else:
        action = (
            f'<form method="post" action="/cashier/{escape(ref)}">'
            '<button name="do" value="pay">确认支付 · Pay</button>'
            '<button name="do" value="cancel">取消 · Cancel</button></form>'
        )
    body = (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>沙箱收银台 · Sandbox cashier</title><style>{_STYLE}</style><main>"
        '<p class="note">沙箱收银台，不会产生真实扣款<br>Sandbox: no money moves</p>'
        f'<p class="sum">{escape(shown(amount_fen, currency))}</p>{action}</main>'
    )
    return web.Response(
        text=body,
        content_type="text/html",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "X-Content-Type-Options": "nosniff",
        },
    )
