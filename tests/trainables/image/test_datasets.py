"""Datasets in small files of the real formats, with torchvision's checksum lists set to match."""

import gzip
import hashlib
import pickle
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from torchvision import datasets as torchvision_datasets

from trainables.image import torchvision_datasets as readers
from trainables.image.datasets import load_dataset
from trainables.image.torchvision_datasets import UnavailableError

PARTS = {"train": 60, "t10k": 20}


def idx_bytes(array):
    """The IDX format: http://yann.lecun.com/exdb/mnist (bytes: type code 8)."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def write_mnist(folder, level=9):
    """Write the four .gz files of a dataset of 60 + 20 images; their MD5 by name."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    md5 = {}
    for part, count in PARTS.items():
        images = generator.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            packed = gzip.compress(idx_bytes(array), compresslevel=level, mtime=0)
            path = folder / f"{part}-{name}-ubyte.gz"
            path.write_bytes(packed)
            md5[path.name] = hashlib.md5(packed).hexdigest()
    return md5


def write_cifar(folder):
    """Write the six batches and the meta file, four images each; their MD5 by name."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    batches = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]
    content = {
        name: {
            "data": generator.integers(0, 256, (4, 3072)).astype(np.uint8),
            "labels": [0, 1, 0, 1],
        }
        for name in batches
    }
    content["batches.meta"] = {"label_names": ["cat", "dog"]}
    for name, entry in content.items():
        (folder / name).write_bytes(pickle.dumps(entry))
    return {
        name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in content
    }, content


def use_mnist_checksums(monkeypatch, md5, dataset_class=torchvision_datasets.MNIST):
    monkeypatch.setattr(dataset_class, "resources", list(md5.items()))


@pytest.fixture(autouse=True)
def _nothing_within_reach(monkeypatch, tmp_path):
    """No system copy, no apt-get, no network: each test enables what it needs."""
    monkeypatch.setattr(readers, "SYSTEM_FASHION_MNIST", tmp_path / "no-system-copy")
    monkeypatch.setenv("PATH", str(tmp_path))
    for dataset_class in (torchvision_datasets.MNIST, torchvision_datasets.FashionMNIST):
        monkeypatch.setattr(dataset_class, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(torchvision_datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A data directory that holds MNIST as four .gz files."""
    folder = tmp_path / "data" / "MNIST" / "raw"
    use_mnist_checksums(monkeypatch, write_mnist(folder))
    return folder


def load(raw, name="mnist"):
    return load_dataset(name, raw.parents[1], seed=0)


def test_mnist_is_read_from_the_data_directory_as_uint8_with_one_channel(raw):
    dataset = load(raw)
    assert dataset.search.train.inputs.pixels.shape == (48, 1, 28, 28)
    assert dataset.search.validation.inputs.pixels.shape == (12, 1, 28, 28)
    assert dataset.test.inputs.pixels.shape == (20, 1, 28, 28)
    assert dataset.search.train.inputs.pixels.dtype == dataset.test.inputs.pixels.dtype == np.uint8
    assert dataset.search.classes == 10
    assert dataset.notice == ""
    assert dataset.source == f"data directory {raw}"
    np.testing.assert_array_equal(dataset.test.targets, np.arange(20) % 10)


def test_loading_twice_gives_the_same_and_leaves_nothing_but_the_unpacked_files(raw):
    first, second = load(raw), load(raw)
    assert first.fingerprint == second.fingerprint
    assert len(list(raw.iterdir())) == 8
    assert [p.name for p in raw.parents[1].iterdir()] == ["MNIST"]


def test_a_wrong_byte_in_a_gz_is_named_with_both_checksums(raw):
    path = raw / "t10k-labels-idx1-ubyte.gz"
    expected = hashlib.md5(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[15] ^= 1
    path.write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    with pytest.raises(ValueError, match="Delete it") as error:
        load(raw)
    assert all(part in str(error.value) for part in (str(path), expected, found))


def test_a_truncated_gz_is_refused(raw):
    path = raw / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        load(raw)


@pytest.mark.parametrize("damage", ["byte", "truncated", "empty"])
def test_a_damaged_unpacked_file_is_refused_by_the_trailer_of_its_gz(raw, damage):
    load(raw)
    path = raw / "train-images-idx3-ubyte"
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes({"byte": flipped, "truncated": content[:-9], "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte is damaged: its CRC-32"):
        load(raw)


def test_damage_is_an_error_even_where_the_default_could_fall_back(raw, monkeypatch):
    fashion = raw.parents[1] / "FashionMNIST" / "raw"
    use_mnist_checksums(monkeypatch, write_mnist(fashion), torchvision_datasets.FashionMNIST)
    (fashion / "train-labels-idx1-ubyte.gz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is damaged"):
        load(raw, None)


def test_unpacked_files_alone_are_taken_with_a_notice(raw):
    verified = load(raw)
    for packed in raw.glob("*.gz"):
        packed.unlink()
    dataset = load(raw)
    assert "could not be verified" in dataset.notice
    assert "train-images-idx3-ubyte" in dataset.notice
    assert dataset.fingerprint == verified.fingerprint


def test_unpacked_files_that_make_no_sense_are_an_error_with_a_way_out(raw):
    load(raw)
    for packed in raw.glob("*.gz"):
        packed.unlink()
    path = raw / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cannot be read.*Delete"):
        load(raw)


def test_the_system_copy_is_put_into_the_data_directory(tmp_path, monkeypatch):
    system, data_dir = tmp_path / "system", tmp_path / "data"
    md5 = write_mnist(system)
    use_mnist_checksums(monkeypatch, md5, torchvision_datasets.FashionMNIST)
    monkeypatch.setattr(readers, "SYSTEM_FASHION_MNIST", system)
    first = load_dataset(None, data_dir, seed=0)
    assert (first.name, first.source) == ("fashion_mnist", f"system copy {system}")
    shutil.rmtree(system)
    second = load_dataset("fashion_mnist", data_dir, seed=0)
    assert second.source == f"data directory {data_dir / 'FashionMNIST' / 'raw'}"
    assert first.fingerprint == second.fingerprint


def test_the_data_directory_comes_before_the_system_copy(tmp_path, monkeypatch):
    system, folder = tmp_path / "system", tmp_path / "data" / "FashionMNIST" / "raw"
    write_mnist(system)
    use_mnist_checksums(monkeypatch, write_mnist(folder), torchvision_datasets.FashionMNIST)
    monkeypatch.setattr(readers, "SYSTEM_FASHION_MNIST", system)
    assert load_dataset(None, tmp_path / "data", seed=0).source.startswith("data directory")


def test_a_gz_that_was_packed_anew_passes_by_what_it_holds(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    md5 = write_mnist(folder)
    use_mnist_checksums(monkeypatch, md5, torchvision_datasets.FashionMNIST)
    content_md5 = {
        name: hashlib.md5(gzip.decompress((folder / name).read_bytes())).hexdigest() for name in md5
    }
    monkeypatch.setattr(readers, "FASHION_MNIST_CONTENT_MD5", content_md5)
    assert write_mnist(folder, level=1) != md5
    assert load_dataset("fashion_mnist", tmp_path / "data", seed=0).notice == ""
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="is damaged"):
        load_dataset("fashion_mnist", tmp_path / "data", seed=0)


def test_a_damaged_system_copy_is_not_installed(tmp_path, monkeypatch):
    system = tmp_path / "system"
    use_mnist_checksums(monkeypatch, write_mnist(system), torchvision_datasets.FashionMNIST)
    (system / "train-images-idx3-ubyte.gz").write_bytes(b"nothing")
    monkeypatch.setattr(readers, "SYSTEM_FASHION_MNIST", system)
    with pytest.raises(ValueError, match="is damaged"):
        load_dataset(None, tmp_path / "data", seed=0)
    assert not list((tmp_path / "data").rglob("train-images*"))


def test_the_default_falls_back_to_digits_loudly(tmp_path):
    dataset = load_dataset(None, tmp_path / "data", seed=0)
    assert dataset.name == dataset.search.name == "digits"
    assert "THIS STUDY RUNS ON DIGITS, NOT ON FASHION_MNIST" in dataset.notice
    for place in ("data directory", "system copy", "torchvision's download", "Debian's package"):
        assert place in dataset.notice
    assert "no apt-get and no dpkg-deb" in dataset.notice
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist", "cifar10"])
def test_a_dataset_asked_for_by_name_is_an_error_with_the_ways_out(tmp_path, name, capfd):
    with pytest.raises(ValueError, match=f"dataset {name} is not available") as error:
        load_dataset(name, tmp_path / "data", seed=0)
    message = str(error.value)
    assert "refused" in message
    assert "digits, which needs no download" in message
    assert str(tmp_path / "data") in message
    assert capfd.readouterr() == ("", "")


def test_an_unknown_dataset_is_answered_with_the_four(tmp_path):
    with pytest.raises(
        ValueError, match="'imagenet'; give one of fashion_mnist, mnist, cifar10, di"
    ):
        load_dataset("imagenet", tmp_path, seed=0)


def test_digits_uses_the_whole_pixel_range_and_the_same_test_set_for_every_seed(tmp_path):
    first, second = (load_dataset("digits", tmp_path, seed=seed) for seed in (0, 1))
    assert first.search.train.inputs.pixels.shape[1:] == (1, 8, 8)
    assert (first.search.train.inputs.pixels.min(), first.search.train.inputs.pixels.max()) == (
        0,
        255,
    )
    counts = [len(first.search.train.targets), len(first.search.validation.targets)]
    assert [*counts, len(first.test.targets)] == [1150, 288, 359]
    np.testing.assert_array_equal(first.test.inputs.pixels, second.test.inputs.pixels)
    assert first.fingerprint != second.fingerprint


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """A data directory that holds CIFAR-10, and the content of its batches."""
    md5, content = write_cifar(tmp_path / "cifar-10-batches-py")
    dataset_class = torchvision_datasets.CIFAR10
    meta = {**dataset_class.meta, "md5": md5.pop("batches.meta")}
    monkeypatch.setattr(dataset_class, "meta", meta)
    test = ["test_batch", md5.pop("test_batch")]
    monkeypatch.setattr(dataset_class, "test_list", [test])
    monkeypatch.setattr(dataset_class, "train_list", [list(item) for item in md5.items()])
    return tmp_path, content


def test_cifar10_is_read_with_channels_first(cifar):
    data_dir, content = cifar
    dataset = load_dataset("cifar10", data_dir, seed=0)
    assert dataset.search.train.inputs.pixels.shape == (16, 3, 32, 32)
    expected = content["test_batch"]["data"].reshape(4, 3, 32, 32)
    np.testing.assert_array_equal(dataset.test.inputs.pixels, expected)
    assert dataset.test.inputs.pixels.flags.c_contiguous
    np.testing.assert_array_equal(dataset.test.targets, [0, 1, 0, 1])


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_damaged_batch_is_named_and_never_unpickled(cifar, name):
    data_dir, _ = cifar
    path = data_dir / "cifar-10-batches-py" / name
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ValueError, match=f"{name} is damaged: its MD5"):
        load_dataset("cifar10", data_dir, seed=0)


def test_an_incomplete_cifar10_is_brought_anew_or_told_what_is_missing(cifar):
    data_dir, _ = cifar
    (data_dir / "cifar-10-batches-py" / "data_batch_2").unlink()
    with pytest.raises(ValueError, match="no data_batch_2\n"):
        load_dataset("cifar10", data_dir, seed=0)


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing: the test checks the output of the download."""


@contextmanager
def mirror_of(folder):
    """A web server on this machine."""
    handler = partial(SilentHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_download_is_installed_and_says_so(tmp_path, monkeypatch, capfd):
    use_mnist_checksums(monkeypatch, write_mnist(tmp_path / "mirror"))
    with mirror_of(tmp_path / "mirror") as url:
        monkeypatch.setattr(torchvision_datasets.MNIST, "mirrors", [url])
        dataset = load_dataset("mnist", tmp_path / "data", seed=0)
    assert capfd.readouterr() == ("", "")
    assert dataset.source == "torchvision's download"
    assert (tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").is_file()


def write_tool(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_failing_apt_get_is_quoted(tmp_path):
    write_tool(tmp_path, "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    write_tool(tmp_path, "dpkg-deb", "exit 1")
    with pytest.raises(UnavailableError, match=r"^E: Unable to locate package$"):
        readers.fetch_debian_fashion_mnist(tmp_path)


def test_debian_s_package_is_unpacked_into_the_data_directory(tmp_path, monkeypatch):
    folder = tmp_path / "usr" / "share" / "datasets" / "fashion-mnist"
    use_mnist_checksums(monkeypatch, write_mnist(folder), torchvision_datasets.FashionMNIST)
    # The package is a plain folder, the two tools are scripts: our own code runs.
    write_tool(
        tmp_path, "apt-get", 'case "$*" in *download*) : > dataset-fashion-mnist_1_all.deb;; esac'
    )
    write_tool(tmp_path, "dpkg-deb", f'/bin/mkdir -p "$3"; /bin/cp -r "{tmp_path}/usr" "$3"')
    dataset = load_dataset(None, tmp_path / "data", seed=0)
    assert (dataset.name, dataset.notice) == ("fashion_mnist", "")
    assert dataset.source == "Debian's package dataset-fashion-mnist"
