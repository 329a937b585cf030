"""Text that others have chosen is text: to a terminal, a shell, TensorBoard and a picture."""

import io
import json
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from rich.console import Console
from tensorboard.plugin_util import markdown_to_safe_html

from tune_cluster.execution.plan import show_line
from tune_cluster.plain_text import (
    argument,
    in_markdown,
    in_picture,
    json_in_markdown,
    lines,
    one_line,
    pasted,
)

HOSTILE = "a\x1b[2J\x9b31m\x07\r\nerror: b\u202ec\u2066d\x7fe\u2028f[bold red]g[/]h"

# As a command line gives them: any bytes but 0.
WORDS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        st.binary().map(lambda word: word.replace(b"\0", b"").decode(errors="surrogateescape")),
    ),
    min_size=1,
    max_size=4,
)


def shown(print_to):
    """Text that is sent to a terminal."""
    stream = io.StringIO()
    print_to(Console(file=stream, force_terminal=True, width=300, color_system=None))
    return stream.getvalue()


@given(st.text())
def test_a_line_has_no_control_characters(text):
    assert one_line(text).isprintable()
    assert lines(text).count("\n") == text.count("\n")


def test_harmless_text_stays_as_it_is():
    for text in ("learning_rate=0.01", "Größe 大きさ", "C:\\data", ""):
        assert one_line(text) == text


@pytest.mark.parametrize("typed", [False, True])
def test_the_plan_shows_a_name_as_text(typed):
    out = shown(lambda console: show_line(console, "data", HOSTILE, typed=typed))
    assert out.rstrip().isprintable()
    assert "\\x1b[2J" in out
    assert "[bold red]g[/]h" in out


@given(WORDS)
def test_a_pasted_command_is_read_unchanged_by_a_shell(words):
    bash = shutil.which("bash")
    command = pasted(words)
    assert command.isprintable()
    read = subprocess.run(
        [bash, "--norc", "-c", f"printf '%s\\0' {command}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert read.stdout.decode(errors="surrogateescape").split("\0")[:-1] == words


@given(st.text(st.characters(categories=["Cs"]), min_size=1))
def test_a_word_of_surrogates_can_be_shown(word):
    assert argument(word).isprintable()


def test_a_plain_word_is_quoted_as_a_shell_needs():
    assert argument("results/study") == "results/study"
    assert argument("a b") == "'a b'"


@given(st.text())
def test_markdown_shows_a_text_without_formatting_it(text):
    html = markdown_to_safe_html(f"| | |\n|---|---|\n| {in_markdown(text)} | x |\n")
    for made in ("<a", "<img", "<strong", "<em", "<code", "<script", "<h1", "<del"):
        assert made not in html
    assert html.count("<td>") + html.count("<td ") == 2


def test_a_name_that_is_markdown_can_be_read_in_tensorboard():
    html = markdown_to_safe_html(
        f"| | |\n|---|---|\n| {in_markdown('a|b <b>c</b> [d](http://e) learning_rate')} | x |\n"
    )
    cell = html.partition("<td>")[2].partition("</td>")[0]
    assert "a|b" in cell.replace("&#124;", "|")
    assert "learning_rate" in cell
    assert "href" not in html


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_json_in_markdown_is_the_same_json(content):
    text = json_in_markdown(content)
    assert json.loads(text) == content
    html = markdown_to_safe_html(text)
    assert not any(made in html for made in ("<a", "<img", "<strong", "<code", "<h1"))


def test_a_picture_shows_dollar_signs_and_no_formula():
    figure = Figure()
    title = figure.suptitle(in_picture(r"$\frac{1$ of \$x\n" + "\x1b"))
    figure.savefig(io.BytesIO(), format="png")
    assert "\x1b" not in title.get_text()
