"""Pages and texts of reports, by Jinja."""

from __future__ import annotations

from typing import Any

from search_spaces import needs_extra
from search_spaces.objective import shown_value
from search_spaces.values import short


def rendered(template: str, **values: Any) -> str:
    """Return a template of this folder with its values; those of a page are escaped.

    Raises:
        ValueError: Jinja is not installed.
    """
    with needs_extra("report"):
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tune_cluster.reports"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.jinja",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda value: "" if value is None else shown_value(value)
    environment.filters["short"] = lambda value: "" if value is None else short(value)
    return environment.get_template(template).render(**values)
