"""The command line of an export ends in order, whatever it is given."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.prediction.exported import lines, print_lines


def test_a_line_has_the_class_with_all_probabilities_or_the_number():
    names = [{"file": "a"}, {"file": "b"}]
    found = [*lines(names, np.array([[0.25, 0.75], [0.5, 0.5]]), ("no", "ja ✓"))]
    assert found == [
        '{"file": "a", "class": "ja ✓", "probabilities": {"no": 0.25, "ja ✓": 0.75}}',
        '{"file": "b", "class": "no", "probabilities": {"no": 0.5, "ja ✓": 0.5}}',
    ]
    assert [*lines(names[:1], np.array([1.5]), ())] == ['{"file": "a", "value": 1.5}']


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda: Path("missing").read_text(), "missing: No such file or directory"),
        (lambda: __import__("not_there"), "the package not_there is missing; install it by pip"),
        (lambda: int("of two\nlines"), "invalid literal"),
    ],
)
def test_what_cannot_be_used_is_one_line(fault, told, capsys):
    with pytest.raises(SystemExit) as ended:
        print_lines(fault, tuple)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_reader_that_has_gone_ends_it_without_a_word(count):
    code = (
        "import numpy; from trainables.prediction.exported import print_lines; "
        f"print_lines(lambda: ([{{}}] * {count}, numpy.zeros({count})), tuple)"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
