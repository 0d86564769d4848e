"""What pages for people have in common: one look, and headers under which a browser loads nothing and tells nobody."""

import base64
import hashlib
from typing import Final

from engine.gateway.answer import BARE, Headers, Language

_STYLE: Final = """
:root{color-scheme:light dark;--text:#1d2125;--faint:#5d6670;--line:#dfe3e7;--link:#0a58ca;--ground:#fff;--soft:#f5f6f8}
@media (prefers-color-scheme:dark){
:root{--text:#e4e7ea;--faint:#9aa4ae;--line:#343b42;--link:#7db1ff;--ground:#16191c;--soft:#1f2428}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);overflow-wrap:break-word;
font:1.0625rem/1.65 system-ui,-apple-system,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:40rem;margin:0 auto;padding:2rem 1.25rem 3rem}
h1{font-size:1.75rem;line-height:1.3;margin:.25rem 0 1rem}
h2{font-size:1.15rem;margin:0 0 .35rem}
p{margin:.5rem 0}
a{color:var(--link)}
code{font:.9em ui-monospace,Menlo,Consolas,monospace;background:var(--soft);border-radius:.25rem;padding:.1em .3em}
.faint{color:var(--faint);font-size:.9rem;margin:0}
.other{margin-top:2rem;border-top:1px solid var(--line);padding-top:1.25rem;color:var(--faint)}
nav{margin-top:2rem}
ol{list-style:none;margin:1.5rem 0 0;padding:0;border-top:1px solid var(--line)}
li{border-bottom:1px solid var(--line)}
li a{display:block;padding:.7rem 0;color:inherit;text-decoration:none}
li a:hover b,li a:focus b{color:var(--link);text-decoration:underline}
"""


def page_headers(style: str = "") -> Headers:
    """The headers of a page that has this style beside the common one."""
    digest = base64.b64encode(hashlib.sha256((_STYLE + style).encode()).digest()).decode()
    return (
        *BARE,
        ("Content-Type", "text/html; charset=utf-8"),
        # Only this very style; no script, picture, form or frame, neither inside the page nor around it.
        (
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
        ),
        ("Referrer-Policy", "no-referrer"),
    )


WEB_PAGE: Final[Headers] = page_headers()
_FRAME: Final = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>
<style>{style}</style></head>
<body><main>
{content}
</main></body>
</html>
"""


def web_page(language: Language, title: str, content: str, style: str = "") -> bytes:
    """A page, to be sent under `page_headers` of the same style, WEB_PAGE where it has none of its own.

    `title` and `content` are HTML: what is text is escaped before.
    """
    return _FRAME.format(language=LANGUAGE_TAGS[language], title=title, style=_STYLE + style, content=content).encode()


LANGUAGE_TAGS: Final[dict[Language, str]] = {"en": "en", "zh": "zh-Hans"}
"""How a page names its language: the script decides which forms of the characters a browser shows."""
