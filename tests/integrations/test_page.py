"""The page on other libraries shows what the examples run."""

import re
import textwrap

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "integrations.md").read_text()
EXAMPLES = {path.name: path.read_text() for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
def test_a_block_of_the_page_stands_in_an_example(block):
    def stands_in(text):
        # At any depth of indentation.
        return any(textwrap.indent(block, " " * depth) in text for depth in range(0, 13, 4))

    assert [name for name, text in EXAMPLES.items() if stands_in(text)]


def test_each_example_and_module_that_the_page_names_is_there():
    assert {*re.findall(r"examples/(\w+\.py)", PAGE)} <= EXAMPLES.keys()
    modules = {*re.findall(r"tune_cluster\.((?:integrations|callbacks)\.\w+)", PAGE)}
    assert len(modules) == 8
    for module in modules:
        assert (ROOT / "tune_cluster" / module.replace(".", "/")).with_suffix(".py").exists()
