"""Leave links to files of the repository out of the site, which has its pages alone."""

import re


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page with the text of each link that leads out of `docs/` in place of the link."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"`\1`", markdown)
