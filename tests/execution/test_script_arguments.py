import pytest

from search_spaces.search_flag import space_of
from tune_cluster.execution.script_arguments import asked, with_defaults

SCRIPT = """
import argparse
import tune_cluster as tc

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.3)
parser.add_argument("--batch-size", type=int, default=48)
parser.add_argument("--epochs", type=int, default=5)
BEFORE
tc.arguments(parser)
raise SystemExit("it trains")
"""


@pytest.fixture
def script(tmp_path):
    def written(before=""):
        path = tmp_path / "train.py"
        path.write_text(SCRIPT.replace("BEFORE", before))
        return str(path)

    return written


def test_a_script_reports_its_defaults_and_epochs_without_training(script):
    space = space_of(["lr=log:0.1:1", "batch-size=32,64"])
    found = asked(script(), ["--epochs", "7"], space)
    assert found.defaults == {"lr": 0.3, "batch_size": 48}
    assert found.epochs == 7
    first = with_defaults(space, found.defaults).complete({})
    assert first == {"lr": 0.3, "batch_size": 32}, "48 is not among what is searched"


@pytest.mark.parametrize(
    ("search", "before", "arguments", "said"),
    [
        ("rate=1,2", "", [], "no argument rate; it has lr, batch_size, epochs"),
        ("batch-size=0.5,1.5", "", [], "batch_size: 0.5 is refused"),
        ("lr=1,2", "raise SystemExit(3)", [], "ended with code 3|without an error message"),
        ("lr=1,2", "import nothing_of_that_name", [], "No module named"),
        ("lr=1,2", "", ["--no-such-flag"], "unrecognized arguments"),
    ],
)
def test_an_argument_that_a_script_does_not_take_is_refused_before_the_study(
    script, search, before, arguments, said
):
    with pytest.raises(ValueError, match=said):
        asked(script(before), arguments, space_of([search]))


def test_a_script_without_tune_cluster_is_refused_and_not_run(tmp_path):
    ran, path = tmp_path / "ran", tmp_path / "train.py"
    path.write_text(f"open({str(ran)!r}, 'w')")
    with pytest.raises(ValueError, match="does not import tune_cluster"):
        asked(str(path), [], space_of(["lr=1,2"]))
    with pytest.raises(ValueError, match="no such file"):
        asked(str(tmp_path / "none.py"), [], space_of(["lr=1,2"]))
    assert not ran.exists()


def test_a_script_with_a_dictionary_reports_its_values(tmp_path):
    script = tmp_path / "boost.py"
    script.write_text(
        "import tune_cluster as tc\n"
        "params = [('max_depth', 2)]\n"
        "params = tc.parameters(dict(params, learning_rate=0.5))\n"
        "raise OSError('it has trained')\n"
    )
    found = asked(str(script), [], space_of(["learning_rate=log:0.1:1"]))
    assert found.defaults == {"learning_rate": 0.5}
    assert found.epochs is None
    with pytest.raises(ValueError, match="no parameter rate; it has max_depth, learning_rate"):
        asked(str(script), [], space_of(["rate=0.1,0.2"]))


def test_a_module_beside_the_script_shows_whether_the_script_saves_checkpoints(tmp_path):
    script, loop = tmp_path / "train.py", tmp_path / "loop.py"
    script.write_text("import tune_cluster as tc\nimport loop\ntc.parameters({'lr': 0.1})\n")
    for called, saves in (("epochs(9)", False), ("epochs(9, model=1)", True)):
        loop.write_text(f"def train(tc):\n    list(tc.{called})\n")
        assert asked(str(script), [], space_of(["lr=0.1,0.2"])).saves is saves
