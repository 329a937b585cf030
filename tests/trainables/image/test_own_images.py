"""The user's own images: accepted files, and errors of a broken file."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainables.image.datasets import load_dataset
from trainables.image.own_images import read_own

FLOATS = np.full((50, 8, 8), 0.5)
LABELS = np.arange(50) % 5


def npz(path, **arrays):
    rng = np.random.default_rng(0)
    defaults = {
        "x": rng.integers(0, 256, (50, 8, 8)).astype(np.uint8),
        "y": np.arange(50) % 5,
    }
    given = {name: value for name, value in {**defaults, **arrays}.items() if value is not None}
    np.savez(path / "own.npz", **given)
    return path / "own.npz"


def folder(path, sizes=((8, 8),), mode="L", classes=("cat", "dog"), count=5):
    rng = np.random.default_rng(0)
    for name in classes:
        (path / name).mkdir(parents=True)
        for number in range(count):
            width, height = sizes[number % len(sizes)]
            shape = (height, width, 3) if mode == "RGB" else (height, width)
            pixels = rng.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def test_an_npz_is_read_and_a_fifth_set_aside_for_the_test(tmp_path):
    path = npz(tmp_path)
    raw = read_own(path)
    assert raw.train.inputs.pixels.shape == (40, 1, 8, 8)
    assert raw.test.inputs.pixels.shape == (10, 1, 8, 8)
    assert np.bincount(raw.test.targets).tolist() == [2] * 5
    assert raw.source == str(path)
    assert (read_own(path).test.inputs.pixels == raw.test.inputs.pixels).all()


def test_the_names_of_keras_are_taken(tmp_path):
    plain = read_own(npz(tmp_path))
    arrays = np.load(tmp_path / "own.npz")
    named = npz(tmp_path, x=None, y=None, x_train=arrays["x"], y_train=arrays["y"])
    assert (read_own(named).train.inputs.pixels == plain.train.inputs.pixels).all()


def test_its_own_test_images_are_taken_where_it_has_some(tmp_path):
    x, y = np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 4])
    raw = read_own(npz(tmp_path, x_test=x, y_test=y))
    assert (len(raw.train.targets), raw.test.targets.tolist()) == (50, [0, 1, 4])


@pytest.mark.parametrize("shape", [(50, 8, 8), (50, 8, 8, 1), (50, 8, 8, 3), (50, 3, 8, 8)])
def test_channels_may_come_last_second_or_not_at_all(tmp_path, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, shape).astype(np.uint8)
    raw = read_own(npz(tmp_path, x=x))
    channels = 3 if 3 in shape[1:] else 1
    assert raw.train.inputs.pixels.shape == (40, channels, 8, 8)
    everything = np.sort(
        np.concatenate([raw.train.inputs.pixels.ravel(), raw.test.inputs.pixels.ravel()])
    )
    assert (everything == np.sort(x.ravel())).all()


def test_floats_from_0_to_1_become_shades(tmp_path):
    x = np.linspace(0, 1, 50 * 64).reshape(50, 8, 8)
    raw = read_own(npz(tmp_path, x=x))
    assert raw.train.inputs.pixels.dtype == np.uint8
    assert max(raw.train.inputs.pixels.max(), raw.test.inputs.pixels.max()) == 255


def with_value(array, row, value):
    array = array.copy()
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": None}, "neither of x_test and y_test; has x"),
        ({"x_test": np.zeros((3, 8, 8), np.uint8)}, "of x_test and y_test; has x, x_test, y"),
        ({"y": LABELS[:49]}, "x has 50 rows, y has 49"),
        ({"x": np.zeros((50, 64), np.uint8)}, r"x must be .*got \[50, 64\]"),
        ({"x": np.zeros((50, 8, 8, 2), np.uint8)}, r"1 or 3 channels.*got \[50, 8, 8, 2\]"),
        ({"x": with_value(FLOATS, 7, 1.5)}, "x, row 7: float64 pixels must be from 0 to 1"),
        ({"x": with_value(FLOATS, 9, np.nan)}, "x, row 9"),
        ({"x": with_value(np.zeros((50, 8, 8), int), 3, 256)}, "x, row 3: .* from 0 to 255"),
        ({"x": FLOATS.astype(str)}, "x must hold numbers"),
        ({"y": with_value(LABELS, 4, -1)}, "y, row 4: a class is a whole number from 0, got -1"),
        ({"y": with_value(LABELS.astype(float), 5, 0.5)}, "y, row 5: .* got 0.5"),
        ({"y": with_value(LABELS, 6, 1000)}, "y, row 6: class 1000 of 50 rows"),
        ({"y": with_value(LABELS.astype(float), 7, np.inf)}, "y, row 7: .* got inf"),
        (
            {"y": with_value(LABELS.astype(np.uint64), 8, 2**63)},
            "y, row 8: .* got 92233720",
        ),
        ({"y": LABELS.astype(str)}, "y must hold classes"),
        ({"y": LABELS + 1}, "no training image of class 0: add images"),
        # The only one of its class is set aside.
        ({"y": with_value(LABELS, 3, 5)}, r"of class 5: .*a fifth is set aside"),
        (
            {"x_test": np.zeros((2, 8, 8), np.uint8), "y_test": np.array([1, 5])},
            "y_test, row 1: class 5, but y has classes 0 to 4",
        ),
        (
            {"x_test": np.zeros((2, 9, 8), np.uint8), "y_test": np.array([1, 2])},
            r"images of x_test are \(1, 9, 8\)",
        ),
    ],
)
def test_a_broken_npz_is_named_with_the_row(tmp_path, arrays, said):
    path = npz(tmp_path, **arrays)
    with pytest.raises(ValueError, match=said) as error:
        read_own(path)
    assert str(path) in str(error.value)


def zipped(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def one_array():
    file = io.BytesIO()
    np.save(file, LABELS)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a zip", b"PK\x03\x04 cut off", one_array(), zipped("x.npy", b"no array")],
)
def test_what_is_no_npz_is_said(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.npz: (cannot be read as \.npz|needs x and y)"):
        read_own(tmp_path / "own.npz")


def test_a_damaged_member_is_said(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (50, 8, 8)).astype(np.uint8)
    np.savez_compressed(tmp_path / "own.npz", x=x, y=LABELS)
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.npz: cannot be read as \.npz"):
        read_own(tmp_path / "own.npz")


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    path = npz(tmp_path, y=np.array([None] * 50, dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        read_own(path)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_images_by_class_is_read(tmp_path, mode, channels):
    raw = read_own(folder(tmp_path / "own", sizes=((8, 6),), mode=mode))
    assert raw.train.inputs.pixels.shape == (8, channels, 6, 8)
    assert np.bincount(raw.train.targets).tolist() == [4, 4]
    assert np.bincount(raw.test.targets).tolist() == [1, 1]


def test_a_folder_may_have_train_and_test(tmp_path):
    folder(tmp_path / "own" / "train", classes=("a", "b", "c"))
    folder(tmp_path / "own" / "test", classes=("a", "c"), count=2)
    raw = read_own(tmp_path / "own")
    assert (len(raw.train.targets), raw.test.targets.tolist()) == (15, [0, 0, 2, 2])
    (tmp_path / "own" / "test" / "d").mkdir()
    with pytest.raises(ValueError, match=r"test has classes that train has not: \['d'\]"):
        read_own(tmp_path / "own")


def test_a_class_without_an_image_to_train_on_is_named(tmp_path):
    folder(tmp_path / "own" / "train", classes=("a", "b"))
    (tmp_path / "own" / "train" / "c").mkdir()
    folder(tmp_path / "own" / "test", classes=("a", "c"), count=2)
    with pytest.raises(ValueError, match="no training image of class c"):
        read_own(tmp_path / "own")


def test_what_tools_hide_among_the_images_is_no_class_and_no_image(tmp_path):
    path = folder(tmp_path / "own")
    (path / ".ipynb_checkpoints").mkdir()
    (path / "cat" / ".DS_Store").write_bytes(b"not an image")
    assert len(np.unique(read_own(path).train.targets)) == 2


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_pixels_of_more_than_8_bits_are_refused(tmp_path, dtype):
    path = folder(tmp_path / "own")
    suffix = "png" if dtype == np.uint16 else "tiff"
    Image.fromarray(np.full((8, 8), 300, dtype)).save(path / "dog" / f"9.{suffix}")
    with pytest.raises(ValueError, match=rf"dog/9\.{suffix}, row 10: pixels of mode"):
        read_own(path)


def test_an_unreadable_image_is_named_with_its_row(tmp_path):
    path = folder(tmp_path / "own")
    (path / "dog" / "1.png").write_bytes((path / "dog" / "1.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"dog/1\.png, row 6: unreadable"):
        read_own(path)


def test_images_of_two_sizes_are_refused(tmp_path):
    path = folder(tmp_path / "own", sizes=((8, 8), (8, 9)))
    with pytest.raises(ValueError, match=r"1\.png, row 1: 8 x 9 pixels, the first is 8 x 8"):
        read_own(path)


@pytest.mark.parametrize(("make", "said"), [((), "no subfolder"), (("a", "b"), "no image;")])
def test_a_folder_without_images_is_refused(tmp_path, make, said):
    (tmp_path / "own").mkdir()
    for name in make:
        (tmp_path / "own" / name).mkdir()
    with pytest.raises(ValueError, match=said):
        read_own(tmp_path / "own")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("train/cat/more", "has a subfolder, more"),
        ("val", "beside train and test there is val, which would not be read"),
    ],
)
def test_a_folder_that_nothing_would_read_is_refused(tmp_path, more, said):
    folder(tmp_path / "own" / "train")
    (tmp_path / "own" / more).mkdir()
    with pytest.raises(ValueError, match=said):
        read_own(tmp_path / "own")


def test_a_class_may_be_called_train(tmp_path):
    raw = read_own(folder(tmp_path / "own", classes=("car", "plane", "train")))
    assert np.bincount(raw.train.targets).tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": np.zeros(50, int)}, "all images are of one class, 0"),
        ({"x": np.zeros((50, 0, 8), np.uint8)}, r"without a pixel: \[50, 0, 8\]"),
    ],
)
def test_what_nothing_could_be_learned_from_is_refused(tmp_path, arrays, said):
    with pytest.raises(ValueError, match=said):
        read_own(npz(tmp_path, **arrays))


def test_a_class_that_the_split_would_only_validate_is_refused(tmp_path):
    y = np.array([0] * 24 + [1] * 24 + [2] * 2)
    with pytest.raises(ValueError, match=r"no sample of class 2 is among the 20 training samples"):
        load_dataset(str(npz(tmp_path, y=y)), tmp_path, seed=0, train_ratio=0.5)


def test_the_same_data_elsewhere_is_the_same_data(tmp_path, monkeypatch):
    path = npz(tmp_path)
    here = load_dataset(str(path), tmp_path, seed=0)
    monkeypatch.chdir(tmp_path)
    there = load_dataset("own.npz", tmp_path, seed=0)
    moved = load_dataset(str(path.rename(tmp_path / "new.npz")), tmp_path, seed=0)
    assert here.name == there.name == str(path), "a resume may be typed in another folder"
    assert here.fingerprint == there.fingerprint == moved.fingerprint
    other = load_dataset(str(npz(tmp_path, y=(LABELS + 1) % 5)), tmp_path, seed=0)
    assert other.fingerprint != here.fingerprint


def test_a_path_is_a_dataset_and_a_typing_error_is_none(tmp_path):
    path = npz(tmp_path)
    dataset = load_dataset(str(path), tmp_path, seed=0)
    assert (dataset.name, dataset.search.classes) == (str(path), 5)
    assert dataset.search.train.inputs.pixels.shape == (32, 1, 8, 8)
    with pytest.raises(ValueError, match="no such file or folder"):
        load_dataset(str(tmp_path / "missing.npz"), tmp_path, seed=0)
    with pytest.raises(ValueError, match=r"unknown dataset 'fashion'.*or the path of your own"):
        load_dataset("fashion", tmp_path, seed=0)


NUMBERS = np.linspace(-3, 7, 50)


def test_targets_that_are_mostly_fractions_are_numbers(tmp_path):
    raw = read_own(npz(tmp_path, y=NUMBERS))
    assert raw.class_names == ()
    assert sorted([*raw.train.targets, *raw.test.targets]) == pytest.approx(NUMBERS.tolist())
    # A fifth, of each tenth of the numbers.
    assert np.histogram(raw.test.targets, bins=10, range=(-3, 7))[0].tolist() == [1] * 10


def test_whole_numbers_are_numbers_where_it_is_said_so(tmp_path):
    path = npz(tmp_path, x_test=FLOATS[:3], y_test=np.array([60, 1, -2]))
    raw = read_own(path, "numbers")
    assert raw.class_names == ()
    assert raw.train.targets.dtype.kind == "f"
    assert raw.test.targets.tolist() == [60, 1, -2]


@pytest.mark.parametrize(
    ("y", "rule"),
    [
        (with_value(NUMBERS, 9, np.inf), "y, row 9: inf is no finite number"),
        (with_value(NUMBERS, 9, np.nan), "y, row 9: nan is no finite number"),
        (np.full(50, 0.25), "y has the number 0.25 alone"),
    ],
)
def test_numbers_that_cannot_be_predicted_are_refused(tmp_path, y, rule):
    path = npz(tmp_path, y=y)
    with pytest.raises(ValueError, match=rule) as refused:
        read_own(path)
    assert str(path) in str(refused.value)


def test_classes_are_no_numbers(tmp_path):
    with pytest.raises(ValueError, match="a folder has classes"):
        read_own(folder(tmp_path / "images"), "numbers")
    with pytest.raises(ValueError, match="digits has classes"):
        load_dataset("digits", tmp_path, seed=0, targets="numbers")
    with pytest.raises(ValueError, match=r"y, row 0: .*--targets numbers"):
        read_own(npz(tmp_path, y=NUMBERS), "classes")
