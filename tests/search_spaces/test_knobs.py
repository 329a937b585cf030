"""Whatever a job searches, a person may fix it, and search what it fixes."""

import pytest

from search_spaces.catalogue import CATALOGUE, NESTEROV, TABLE_CATALOGUE, TEXT_CATALOGUE
from search_spaces.knobs import FLAGS, Knobs, parse_fixed
from search_spaces.space import Space
from search_spaces.spaces import CNN, LR_BATCH, OPTIMIZER, OPTIMIZERS, TRAINING
from search_spaces.table_spaces import TABLE
from search_spaces.text_spaces import TEXT
from tests.search_spaces.conftest import SPACES

LR = LR_BATCH.fix(model="mlp", patience=0)


def applied(space, fix=(), search=(), catalogue=CATALOGUE, **own):
    knobs = Knobs(fix=tuple(fix), search=tuple(search))
    return knobs.apply(space, catalogue, epochs=27, **own)


def searched(space, *names):
    """Return what is searched under these names, by branch."""
    return {p.branch: p for p in space.parameters if p.name in names}


def test_without_flags_the_space_is_that_of_the_job():
    assert applied(TRAINING) == TRAINING.fix(epochs=27)


def test_a_fixed_hyperparameter_is_not_searched_and_the_others_keep_their_order():
    space = applied(LR, fix=["batch_size=64", "patience=6", "momentum=0.5"])
    assert [p.name for p in space.parameters] == ["learning_rate"]
    assert dict(space.fixed) == {
        **{"model": "mlp", "patience": 6, "epochs": 27},
        **{"batch_size": 64, "momentum": 0.5},
    }


def test_a_range_of_the_user_replaces_that_of_the_job():
    space = applied(LR, search=["learning_rate=log:1e-3:1", "patience=5:10"])
    rate, batch, patience = space.parameters
    assert (rate.low, rate.high, rate.grid, rate.role) == (
        1e-3,
        1,
        (1e-3, 1e-2, 1e-1),
        "scientific",
    )
    assert batch == LR.parameters[1], "what is not named does not change"
    assert (patience.low, patience.high, patience.integer) == (5, 10, True)
    assert "patience" not in dict(space.fixed)


def test_every_branch_takes_the_range_and_keeps_its_condition():
    space = applied(OPTIMIZER, search=["learning_rate=log:0.01:0.1"])
    rates = searched(space, "learning_rate").values()
    assert [p.condition for p in rates] == [
        ("optimizer", ("sgd", "adagrad")),
        ("optimizer", ("adam", "adamw", "rmsprop")),
    ]
    assert {(p.low, p.high) for p in rates} == {(0.01, 0.1)}
    space = applied(
        OPTIMIZER,
        search=["learning_rate=0.1:1 if optimizer=sgd", "learning_rate=0.1:2 if optimizer=adam"],
    )
    assert {b: p.high for b, p in searched(space, "learning_rate").items()} == {
        "learning_rate (optimizer sgd)": 1,
        "learning_rate (optimizer adagrad)": 1,
        "learning_rate (optimizer adam)": 2,
        "learning_rate (optimizer adamw, rmsprop)": 0.1,
    }


def test_an_added_hyperparameter_has_the_condition_of_the_catalogue():
    space = applied(LR, search=["nesterov=true,false", "optimizer=sgd,adam", "x=1:2"])
    assert {*searched(space, "optimizer", "nesterov", "x")} == {
        *("optimizer", "nesterov (optimizer sgd)", "x"),
    }
    assert [*searched(applied(LR, search=["momentum=0.5:0.99"]), "momentum")] == ["momentum"]
    space = applied(
        LR, search=["model=mlp,cnn", "hidden_sizes=(64,),(8,8)", "depth=1,2"], model=None
    )
    assert [*searched(space, "hidden_sizes", "depth")] == [
        *("hidden_sizes (model mlp)", "depth (model cnn, resnet)"),
    ]
    # It comes before what depends on it already.
    names = [p.name for p in applied(TRAINING, search=["loss=cross_entropy,focal"]).parameters]
    assert names.index("loss") == names.index("label_smoothing") - 1


def test_a_hyperparameter_of_one_task_has_the_condition_of_its_catalogue():
    search = ["feature_selection=none,variance", "feature_share=0.1:1"]
    space = applied(TABLE, search=search, catalogue=TABLE_CATALOGUE)
    (share,) = searched(space, "feature_share").values()
    assert share.condition == ("feature_selection", ("variance", "mutual_information"))
    with pytest.raises(ValueError, match="feature_share exists only with feature_selection=vari"):
        applied(TABLE, search=["feature_share=0.1:1"], catalogue=TABLE_CATALOGUE)
    space = applied(TEXT, ["model=bag"], ["dropout=0:0.8"], catalogue=TEXT_CATALOGUE)
    assert [p.high for p in searched(space, "dropout").values()] == [0.8]


def test_a_hyperparameter_whose_condition_cannot_hold_is_not_searched():
    space = applied(OPTIMIZER, search=["optimizer=adam,adamw"])
    assert [p.name for p in space.parameters] == ["optimizer", "learning_rate"]
    assert "channels" not in searched(applied(CNN, fix=["model=mlp"]), "channels")


def test_a_condition_on_numbers_follows_a_new_range_of_them():
    space = Space("s", (*OPTIMIZERS, NESTEROV))
    (nesterov,) = searched(applied(space, search=["momentum=0.5:0.99"]), "nesterov").values()
    assert nesterov.condition == ("optimizer", ("sgd",))
    (nesterov,) = searched(applied(space, search=["momentum=0,0.8"]), "nesterov").values()
    assert nesterov.condition == ("momentum", (0.8,))
    with pytest.raises(ValueError, match=r"nesterov does not exist with momentum=0\.0"):
        applied(space, search=["momentum=0:0.99"])


@pytest.mark.parametrize(
    ("fix", "search", "own", "said"),
    [
        (["epochs=9"], [], {}, "--fix epochs=9: give --max-epochs"),
        (["seed=9"], [], {}, "--fix seed=9: give --seed"),
        (["model=cnn"], [], {"model": None}, "--fix model=cnn: give --model"),
        ([], ["epochs=9,27"], {}, "epochs cannot be searched, since --max-epochs"),
        ([], ["model=mlp,cnn"], {"model": "cnn"}, "model cannot be searched, since --model"),
        ([], ["seed=1,2"], {}, "seed cannot be searched"),
        (["dropout=0.1"], ["dropout=0:1"], {}, "--search dropout=0:1: .* since --fix"),
        ([], ["dropout=0:1", "dropout=0,1"], {}, "given twice"),
        ([], ["x=1:2 if model=mlp", "x=1:3"], {}, "given twice"),
        (["focal_gamma=2"], [], {}, "--fix focal_gamma=2: .* only with loss=focal"),
        (["optimizer=adam", "momentum=0"], [], {}, "--fix momentum=0: .* only with optimizer=sgd"),
        ([], ["focal_gamma=0:5"], {}, "--search focal_gamma=0:5: .* only with loss=focal"),
        (["schedule=cosine"], ["step_size=3,6"], {}, "only with schedule=step"),
        ([], ["x=1:2 if nothing=1"], {}, "no nothing has such a value"),
        ([], ["learning_rate=log:0:1"], {}, "above 0"),
        (["learning_rate"], [], {}, "give name=value"),
    ],
)
def test_contradicting_flags_are_refused_with_the_flag(fix, search, own, said):
    with pytest.raises(ValueError, match=said):
        applied(LR, fix, search, **own)


def test_the_split_of_a_study_has_the_largest_ratio():
    assert Knobs().train_ratio() == 0.8
    assert Knobs().train_ratio(0.95) == 0.95
    assert Knobs(fix=("train_ratio=0.6",)).train_ratio() == 0.6
    assert Knobs(search=("train_ratio=0.1,0.9",)).train_ratio() == 0.9
    assert Knobs(search=("train_ratio=log:0.1:0.95",)).train_ratio() == 0.95
    assert Knobs(search=("train_ratio=0.1,0.2",)).train_ratio() == 0.8, "others are comparable"
    with pytest.raises(ValueError, match="train_ratio=much: must be a number"):
        Knobs(fix=("train_ratio=much",)).train_ratio()


def text_of(entry):
    """Return an entry of the catalogue as a person types it."""
    if entry.values:
        return f"{entry.name}={','.join(map(str, entry.values))}"
    kind = ("log" if entry.scale == "log" else "") + "int" * entry.integer
    return f"{entry.name}={kind}{':' * bool(kind)}{entry.low}:{entry.high}"


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda p: p.branch)
def test_every_entry_of_the_catalogue_can_be_searched_in_any_space(entry):
    if entry.name in FLAGS:
        return
    needed = {entry.condition[0]: entry.condition[1][0]} if entry.condition else {}
    for place in (named.fix(**needed) for named in SPACES):
        space = applied(place, [f"{k}={v}" for k, v in needed.items()], [text_of(entry)])
        found = searched(space, entry.name).values()
        assert {(p.low, p.high, p.values) for p in found} == {(entry.low, entry.high, entry.values)}
        others = [p.branch for p in space.parameters if p.name != entry.name]
        before = [p.branch for p in place.parameters if p.branch in others]
        assert [branch for branch in others if branch in before] == before, "points stay the same"
        drawn = [config[entry.name] for config in space.samples() if entry.name in config]
        assert drawn
        assert all(any(p.has(value) for p in found) for value in drawn)


def test_fixed_values_of_every_type_are_parsed():
    words = ["schedule=cosine", "batch_size=64", "dropout=0.2", "channels=[32, 64]", "cycles=1"]
    assert parse_fixed(words) == {
        "schedule": "cosine",
        "batch_size": 64,
        "dropout": 0.2,
        "channels": (32, 64),
        "cycles": 1,
    }
    for word in ("schedule", "=cosine", "schedule="):
        with pytest.raises(ValueError, match=f"--fix {word}: give name=value"):
            parse_fixed([word])
    with pytest.raises(ValueError, match="--fix cycles=3: cycles is given twice"):
        parse_fixed(["cycles=1", "cycles=3"])


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.name)
def test_every_value_of_the_catalogue_can_be_typed(parameter):
    for value in (*parameter.grid, *parameter.values):
        if value != "":
            assert parse_fixed([f"{parameter.name}={value}"]) == {parameter.name: value}
