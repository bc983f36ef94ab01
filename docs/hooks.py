"""Hooks of mkdocs: the site shows fences without why tests skip them, and keeps names of options in one piece."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    return re.sub(r'^(```\w+) skip="[^"]*"', r"\1", markdown, flags=re.MULTILINE)


def on_page_content(html: str, **_: Any) -> str:
    return re.sub(r"<code>(?=--?[a-z][^<]{0,30}</code>)", '<code class="option">', html)
