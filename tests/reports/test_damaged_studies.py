"""Every command that reads studies gives what is there of a damaged one, or refuses it in a line.

The variable TUNE_CLUSTER_DAMAGES=20000 sets the number of damages of the long tests.
"""

import fcntl
import json
import os
import shutil
import zlib
from contextlib import ExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.conftest import ROOT
from tests.damage import changed_json, damages, do_damage, numbers, others
from tests.reports.made_up import spread, trial, write
from tune_cluster.errors import message_of
from tune_cluster.reports import commands
from tune_cluster.reports.ui.app import COOKIE, application
from tune_cluster.storage.integrity import crc_of
from tune_cluster.study.journal import CHECKSUM, JOURNAL
from tune_cluster.study.study_file import NOT_CHECKED, STUDY_FILE

GOLDEN = ROOT / "tests" / "golden" / "schema_1"

STUDIES = ("asha_promotion", "faults", "pbt", "without_checksums", "made_up")

COUNT = int(os.environ.get("TUNE_CLUSTER_DAMAGES", "60"))


def pages_of(study, other):
    """Print every page of `tune-cluster ui` for a study; one that cannot be read is an answer."""
    client = TestClient(
        application(study.parent, token="word"),
        base_url="http://127.0.0.1",
        cookies={COOKIE: "word"},
    )
    page = f"/study/{study.name}"
    with client:
        for path in ("/", "/studies", page, f"{page}/version", f"{page}/trial/0"):
            answer = client.get(path)
            assert answer.status_code in (200, 404)
            print(answer.text)


TERMINAL = {
    "doctor": lambda study, other: commands.doctor(str(study)),
    "list": lambda study, other: commands.list_studies(str(study.parent)),
    "show": lambda study, other: commands.show(str(study)),
    "show as JSON": lambda study, other: commands.show(str(study), json=True),
    "show as CSV": lambda study, other: commands.show(str(study), csv=True),
    "why": lambda study, other: commands.why(str(study), 0),
    "diff": lambda study, other: commands.diff(str(study), str(other)),
    "next": lambda study, other: commands.next_study(str(study)),
}
"""Readers that take milliseconds."""

PAGES = {
    "report": lambda study, other: commands.report((str(study),)),
    "report of two": lambda study, other: commands.report(
        (str(study), str(other)), to=str(study.parent / "report")
    ),
    "ui": pages_of,
}

RAYS = {
    "report": lambda study, other: commands.report((str(study),), metric="loss", mode="min"),
    "report without a metric": lambda study, other: commands.report((str(study),)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Studies that earlier code has made, and one of many trials; by name."""
    folder = tmp_path_factory.mktemp("whole")
    made = [*spread(25), trial(0.1, "diverged", 2, 0.09, reason="NaN"), trial(0.3, epochs=3)]
    found = {"made_up": write(folder / "made_up", made, rungs=(1, 3))}
    for name in STUDIES[:-1]:
        found[name] = shutil.copytree(GOLDEN / name / "study", folder / name)
    return found


@pytest.fixture(scope="module")
def reported(whole):
    """The same studies, with the files of a report."""
    for study in whole.values():
        commands.report((str(study),))
    return whole


@pytest.fixture
def experiment(tmp_path):
    """The JSON files of an experiment of plain Ray Tune."""
    study = tmp_path / "study"
    for index in range(6):
        folder = study / f"train_{index}"
        folder.mkdir(parents=True)
        (folder / "params.json").write_text(json.dumps({"lr": 10.0**-index, "layers": {"n": 2}}))
        reports = [
            {"loss": 1 / epoch, "training_iteration": epoch, "timestamp": 1000 + epoch}
            | {"time_total_s": epoch, "node_ip": "10.0.0.1", "done": epoch == 3}
            for epoch in (1, 2, 3)
        ]
        (folder / "result.json").write_text("".join(json.dumps(one) + "\n" for one in reports))
    return study


def read_by_all(readers, study, other, capsys):
    """Return what each reader says of a study; none may end by an error that is no message."""
    found = {}
    for name, reader in readers.items():
        capsys.readouterr()
        try:
            reader(study, other)
        except (ValueError, OSError) as error:
            found[name] = message_of(error)
            assert "\n" not in found[name]
        else:
            found[name] = capsys.readouterr().out
        assert found[name].strip()
    return found


def read_damaged(readers, whole, name, damage, running, capsys, tmp_path_factory):
    """Damage a copy of a study, which a driver holds if it is `running`, and read it."""
    folder = tmp_path_factory.mktemp("damaged")
    try:
        study = shutil.copytree(whole[name], folder / "study")
        damage(study)
        with ExitStack() as held:
            if running and (study / JOURNAL).is_file():
                journal = held.enter_context((study / JOURNAL).open())
                fcntl.flock(journal, fcntl.LOCK_EX)
            return read_by_all(readers, study, whole["made_up"], capsys)
    finally:
        shutil.rmtree(folder)


def sealed_again(study):
    """Give changed files the checksums of their new content, as another version has written it."""
    path = study / STUDY_FILE
    about = json.loads(path.read_bytes())
    if isinstance(about, dict) and "crc" in about:
        about["crc"] = crc_of(about, NOT_CHECKED)
        path.write_text(json.dumps(about))
    lines = []
    for line in (study / JOURNAL).read_bytes().splitlines():
        content, sealed = json.loads(line), line
        if isinstance(content, dict) and "crc" in content:
            del content["crc"]
            body = json.dumps(content)[:-1].encode()
            sealed = b"%b%b%d}" % (body, CHECKSUM, zlib.crc32(body))
        lines.append(sealed + b"\n")
    (study / JOURNAL).write_bytes(b"".join(lines))


def any_file(number, damage):
    """Return the damage of one file; every second time one of the two that all others follow."""

    def do(study):
        names = sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file())
        main = (STUDY_FILE, JOURNAL)[number % 2]
        do_damage(study / (main if number % 4 < 2 else names[number // 4 % len(names)]), damage)

    return do


def any_field(changes):
    """Return the change of fields: of `study.json` if a change has no line, else of the journal."""

    def do(study):
        for line, field, other in changes:
            path = study / (STUDY_FILE if line is None else JOURNAL)
            lines = path.read_bytes().splitlines(keepends=True)
            if line is None:
                # An earlier change may have nested it too deeply to be read here.
                with suppress(RecursionError):
                    lines = [changed_json(b"".join(lines), field, other)]
            else:
                at = line % len(lines)
                with suppress(ValueError):
                    lines[at] = changed_json(lines[at], field, other) + b"\n"
            path.write_bytes(b"".join(lines))
        # What is no JSON any more has no checksum.
        with suppress(ValueError, RecursionError):
            sealed_again(study)

    return do


def tried(count):
    return settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


studies = st.sampled_from(STUDIES)
changes = st.lists(st.tuples(st.none() | numbers, numbers, others), min_size=1, max_size=3)


@tried(15)
@given(name=studies, number=numbers, damage=damages, running=st.booleans())
def test_readers_of_a_damaged_file_give_the_readable_part_or_one_line(
    whole, capsys, tmp_path_factory, name, number, damage, running
):
    damage = any_file(number, damage)
    read_damaged(TERMINAL, whole, name, damage, running, capsys, tmp_path_factory)


@tried(25)
@given(name=studies, changes=changes)
def test_readers_of_foreign_fields_give_the_readable_part_or_one_line(
    whole, capsys, tmp_path_factory, name, changes
):
    damage = any_field(changes)
    read_damaged(TERMINAL, whole, name, damage, False, capsys, tmp_path_factory)


@pytest.mark.long
@tried(COUNT)
@given(name=studies, number=numbers, damage=damages, running=st.booleans())
def test_pages_of_a_study_with_a_damaged_file_are_written_or_refused_in_one_line(
    reported, capsys, tmp_path_factory, name, number, damage, running
):
    damage = any_file(number, damage)
    read_damaged(PAGES, reported, name, damage, running, capsys, tmp_path_factory)


@pytest.mark.long
@tried(COUNT)
@given(name=studies, changes=changes)
def test_pages_of_a_study_with_foreign_fields_are_written_or_refused_in_one_line(
    reported, capsys, tmp_path_factory, name, changes
):
    damage = any_field(changes)
    read_damaged(PAGES, reported, name, damage, False, capsys, tmp_path_factory)


@pytest.mark.long
@tried(COUNT)
@given(number=st.integers(2, 2**16), damage=damages)
def test_readers_of_a_damaged_ray_tune_experiment_give_the_readable_part_or_one_line(
    experiment, capsys, tmp_path_factory, number, damage
):
    # Never one of the two files of a study: it has none.
    damage = any_file(number // 4 * 4 + 2, damage)
    read_damaged(RAYS, {"made_up": experiment}, "made_up", damage, False, capsys, tmp_path_factory)


def changed_space(**fields):
    def do(study):
        about = json.loads((study / STUDY_FILE).read_text())
        about["space"]["parameters"][0].update(fields)
        (study / STUDY_FILE).write_text(json.dumps(about))

    return do


def changed_line(first, **fields):
    def do(study):
        lines = list(map(json.loads, (study / JOURNAL).read_text().splitlines()))
        next(line for line in lines if line["event"] == first).update(fields)
        (study / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))

    return do


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (changed_space(low="0.1"), "low"),
        (changed_space(high=None), "high"),
        (changed_space(low=1.0, high=0.1), "above high"),
        (changed_space(low=0.0), "positive"),
        (changed_space(condition=7), "condition"),
        (changed_line("result", time=1e300), "time"),
        (changed_line("result", event="result_of_version_9"), "newer"),
        (changed_line("suggested", configuration={}), "newer"),
    ],
)
def test_an_impossible_field_is_named(whole, capsys, tmp_path_factory, damage, names):
    said = read_damaged(TERMINAL, whole, "made_up", damage, False, capsys, tmp_path_factory)
    assert names in said["show"]
    assert names in said["list"]


@pytest.mark.long
@pytest.mark.parametrize(
    "damage",
    [
        changed_line("suggested", config={"learning_rate": "fast", "batch_size": 64}),
        changed_line("suggested", config={"learning_rate": -1.0, "batch_size": [64]}),
        changed_line("result", metrics={"score": 10**30, "val_loss": 10**200}),
    ],
)
def test_values_outside_every_range_are_shown(whole, capsys, tmp_path_factory, damage):
    readers = {**TERMINAL, **PAGES}
    said = read_damaged(readers, whole, "made_up", damage, False, capsys, tmp_path_factory)
    assert "report.html" in said["report"]
    assert "The best is trial" in said["ui"]


def test_a_study_of_a_later_schema_and_a_folder_without_a_study_are_refused_in_one_line(
    whole, capsys, tmp_path
):
    (tmp_path / "study").mkdir()
    of_one = {name: reader for name, reader in TERMINAL.items() if name != "list"}
    said = read_by_all(of_one, tmp_path / "study", whole["made_up"], capsys)
    assert all("no study" in one for one in said.values())
    (tmp_path / "study" / STUDY_FILE).write_text('{"schema_version": 2}')
    said = read_by_all(of_one, tmp_path / "study", whole["made_up"], capsys)
    assert all("schema 2" in one for one in said.values())
