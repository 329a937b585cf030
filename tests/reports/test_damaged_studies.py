"""Every command that reads studies gives what is there of a damaged one, or refuses it in a line.

The variable TUNE_CLUSTER_DAMAGES=20000 sets the number of damages of each test.
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
from tests.reports.test_confirm import NAMES, SCORE, beside, clear, play
from tune_cluster.errors import message_of
from tune_cluster.execution import audit, confirm
from tune_cluster.plain_text import one_line
from tune_cluster.reports import commands
from tune_cluster.reports.audit import AUDIT_FILE, audit_lines
from tune_cluster.reports.audit import audit as audit_of_address
from tune_cluster.reports.confirm import CONFIRM_FILE, Race, confirmation_beside
from tune_cluster.reports.earlier_studies import earlier_studies
from tune_cluster.reports.ui.app import COOKIE, application
from tune_cluster.storage.integrity import crc_of
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.lines import CHECKSUM
from tune_cluster.study.study_file import NOT_CHECKED, STUDY_FILE, write_json

GOLDEN = ROOT / "tests" / "golden" / "schema_1"

STUDIES = ("asha_promotion", "faults", "pbt", "without_checksums", "made_up", "followed")

BESIDE = ("", "-confirm", "-audit")
"""Ends of the names of a study and of those that follow it."""

TRAINABLE = "tests.Scored"


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


def print_audit(study, other):
    for name, text in audit_lines(audit_of_address(str(study))):
        print(one_line(f"{name}: {text}"))


def print_confirmation(study, other):
    found = confirmation_beside(str(study))
    for name, text in [] if found is None else found.lines():
        print(one_line(f"{name}: {text}"))
    print(found is not None and json.dumps(found.to_json(), allow_nan=False))


FOLLOWED = {
    **TERMINAL,
    "audit": print_audit,
    "confirm": print_confirmation,
    "confirm again": lambda study, other: print(confirm.begin(str(study))),
    "audit again": lambda study, other: print(audit.begin(str(study), 0.5)),
    "learn from": lambda study, other: print(earlier_studies(str(study.parent), TRAINABLE, SCORE)),
}
"""Readers of a study with others beside it."""

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
    for name in STUDIES[:-2]:
        found[name] = shutil.copytree(GOLDEN / name / "study", folder / name)
    return {**found, "followed": followed(folder / "followed")}


def followed(first):
    """Make a study that is confirmed and audited."""
    made = [*spread(12), *(trial(0.1, "stopped", 1, rate, rung=1) for rate in (2e-4, 2e-3, 2e-2))]
    write(first, made, rungs=(1, 3), in_order=True, command=["python", __file__],
          trainable=TRAINABLE)  # fmt: skip
    rates = dict(zip(NAMES, (1e-3, 5e-2, 1e-2), strict=True))
    beside(
        first.with_name(f"{first.name}-confirm"),
        play(Race(NAMES, 5, SCORE), clear),
        config_of=lambda name: {"learning_rate": rates[name], "batch_size": 64},
        of="study",
        trainable=TRAINABLE,
    )
    shown = confirmation_beside(str(first)).to_json()
    write_json(first.with_name(f"{first.name}-confirm") / CONFIRM_FILE, shown)
    second = first.with_name(f"{first.name}-audit")
    controls = [trial(0.6, rate=rate) for rate in (2e-4, 2e-2)]
    write(second, controls, in_order=True, audits={"study": "study", "share": 0.5},
          command=["python", __file__], trainable=TRAINABLE)  # fmt: skip
    lines = list(map(json.loads, (second / JOURNAL).read_text().splitlines()))
    for line in lines:
        if line["event"] == "suggested":
            line.update(origin=(12, 14)[line["trial"]])
    (second / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_json(second / AUDIT_FILE, audit_of_address(str(first)))
    return first


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
        for end in BESIDE:
            source = whole[name].with_name(f"{whole[name].name}{end}")
            if source.exists():
                shutil.copytree(source, folder / f"study{end}")
        study = folder / "study"
        damage(study)
        with ExitStack() as held:
            if running and (study / JOURNAL).is_file():
                journal = held.enter_context((study / JOURNAL).open())
                fcntl.flock(journal, fcntl.LOCK_EX)
            for end in BESIDE[1:]:
                if (folder / f"study{end}").exists():
                    read_by_all(readers, folder / f"study{end}", whole["made_up"], capsys)
            return read_by_all(readers, study, whole["made_up"], capsys)
    finally:
        shutil.rmtree(folder)


def folders_of(study):
    """Return the folder of a study and of those that follow it."""
    named = (study.with_name(f"{study.name}{end}") for end in BESIDE)
    return [folder for folder in named if folder.exists()]


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
        folders = folders_of(study)
        files = sorted(path for at in folders for path in at.rglob("*") if path.is_file())
        main = folders[number // 4 % len(folders)] / (STUDY_FILE, JOURNAL)[number % 2]
        do_damage(main if number % 4 < 2 else files[number // 4 % len(files)], damage)

    return do


def any_field(changes):
    """Return the change of fields: of `study.json` if a change has no line, else of the journal."""

    def do(study):
        folders = folders_of(study)
        for line, at_random, other in changes:
            field, folder = divmod(at_random, len(folders))
            path = folders[folder] / (STUDY_FILE if line is None else JOURNAL)
            lines = path.read_bytes().splitlines(keepends=True)
            if line is None:
                # An earlier change may have nested it too deeply to be read here.
                with suppress(RecursionError):
                    lines = [changed_json(b"".join(lines), field, other)]
            else:
                at = line % len(lines)
                with suppress(ValueError, RecursionError):
                    lines[at] = changed_json(lines[at], field, other) + b"\n"
            path.write_bytes(b"".join(lines))
        # What is no JSON any more has no checksum.
        for folder in folders:
            with suppress(ValueError, RecursionError):
                sealed_again(folder)

    return do


def readers_of(name):
    """Return the readers in the terminal for one of the studies."""
    return FOLLOWED if name == "followed" else TERMINAL


def tried(count):
    count = int(os.environ.get("TUNE_CLUSTER_DAMAGES", count))
    return settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


studies = st.sampled_from(STUDIES)
changes = st.lists(st.tuples(st.none() | numbers, numbers, others), min_size=1, max_size=3)


@tried(20)
@given(name=studies, number=numbers, damage=damages, running=st.booleans())
def test_readers_of_a_damaged_file_give_the_readable_part_or_one_line(
    whole, capsys, tmp_path_factory, name, number, damage, running
):
    damage = any_file(number, damage)
    read_damaged(readers_of(name), whole, name, damage, running, capsys, tmp_path_factory)


@tried(30)
@given(name=studies, changes=changes)
def test_readers_of_foreign_fields_give_the_readable_part_or_one_line(
    whole, capsys, tmp_path_factory, name, changes
):
    damage = any_field(changes)
    read_damaged(readers_of(name), whole, name, damage, False, capsys, tmp_path_factory)


@pytest.mark.long
@tried(60)
@given(name=studies, number=numbers, damage=damages, running=st.booleans())
def test_pages_of_a_study_with_a_damaged_file_are_written_or_refused_in_one_line(
    reported, capsys, tmp_path_factory, name, number, damage, running
):
    damage = any_file(number, damage)
    read_damaged(PAGES, reported, name, damage, running, capsys, tmp_path_factory)


@pytest.mark.long
@tried(60)
@given(name=studies, changes=changes)
def test_pages_of_a_study_with_foreign_fields_are_written_or_refused_in_one_line(
    reported, capsys, tmp_path_factory, name, changes
):
    damage = any_field(changes)
    read_damaged(PAGES, reported, name, damage, False, capsys, tmp_path_factory)


@pytest.mark.long
@tried(60)
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
        changed_line("result", metrics={"score": 1e300, "val_loss": 1e300}),
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
