"""The run of a study in TensorBoard: its curves while it runs, each point there once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.callbacks.test_tensorboard import opened
from tests.journals import SCORE, typed
from tune_cluster.callbacks.course import RUN, CourseCurves, curves_of, read_curves
from tune_cluster.study.course import BEST_BY_EPOCHS, BEST_BY_TRIALS, RATE, TRIALS, Course


def session_of(first, trials, start):
    """The events of a session of `trials` trials with two epochs each."""
    time = start
    yield typed({"event": "session", "time": time})
    for trial in range(first, first + trials):
        of = {"trial": trial, "time": time}
        yield typed({"event": "suggested", **of})
        yield typed({"event": "started", **of})
        for epoch in (1, 2):
            time += 4.0
            score = {"metrics": {"score": 1 - 1 / (trial + epoch)}}
            yield typed({"event": "result", **of, "time": time, "epoch": epoch, **score})
        yield typed({"event": "ended", **of, "time": time, "epoch": 2, "status": "finished"})


FIRST, SECOND = [*session_of(0, 4, 1000.0)], [*session_of(4, 3, 9000.0)]
CLOSED = typed({"event": "closed"})


def written(study, events, earlier=()):
    """Tell a session's events to new curves, after those of earlier sessions."""
    curves = CourseCurves(study, SCORE)
    for event in earlier:
        curves.on_event(event, None, replay=True)
    for event in events:
        curves.on_event(event, None, replay=False)
    return curves


def expected(events):
    course = Course(SCORE)
    return curves_of([point for event in events for point in course.apply(event)])


def test_a_point_can_be_read_as_soon_as_its_event_was_told(tmp_path):
    curves = written(tmp_path, FIRST[:4])
    assert read_curves(tmp_path / RUN)[BEST_BY_EPOCHS] == [(1, 0.0)]
    curves.on_event(CLOSED, None, replay=False)
    assert read_curves(tmp_path / RUN) == expected([*FIRST[:4], CLOSED])


def test_tensorboard_reads_the_curves_at_the_times_of_the_events(tmp_path):
    written(tmp_path, [*FIRST, CLOSED])
    run = opened(tmp_path / RUN)
    assert set(run.Tags()["tensors"]) == set(expected([*FIRST, CLOSED]))
    trials = run.Tensors(BEST_BY_TRIALS)
    assert [(event.step, event.wall_time) for event in trials] == [
        (number, 1000.0 + 8 * number) for number in (1, 2, 3, 4)
    ]
    assert run.Tensors(f"{TRIALS}finished")[-1].tensor_proto.float_val[0] == 4
    assert {event.step for event in run.Tensors(RATE)} == {12, 24, 32}


@given(kept=st.integers(0, len(FIRST)), share=st.floats(0, 1), closed=st.booleans())
@settings(max_examples=40)
def test_after_a_kill_at_any_event_and_byte_each_point_is_there_once(
    tmp_path_factory, kept, share, closed
):
    study = tmp_path_factory.mktemp("study")
    before = [*FIRST[:kept], *([CLOSED] if closed else [])]
    written(study, before)
    for path in (study / RUN).glob("*"):
        path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    after = [*session_of(sum(e.name == "suggested" for e in before), 3, 9000.0), CLOSED]
    written(study, after, earlier=before)
    assert read_curves(study / RUN) == expected([*before, *after])
    for tag, points in expected([*before, *after]).items():
        assert [event.step for event in opened(study / RUN).Tensors(tag)] == [
            step for step, _ in points
        ]


def test_what_the_journal_does_not_have_leaves_who_has_read_it_and_who_reads_it_anew(tmp_path):
    written(tmp_path, FIRST)
    reader = opened(tmp_path / RUN)
    # The machine has lost power, and with it the end of the journal.
    after = [*session_of(1, 2, 9000.0), CLOSED]
    written(tmp_path, after, earlier=FIRST[:6])
    reader.Reload()
    for run in (reader, opened(tmp_path / RUN)):
        steps = [event.step for event in run.Tensors(BEST_BY_TRIALS)]
        assert steps == [step for step, _ in expected([*FIRST[:6], *after])[BEST_BY_TRIALS]]


def test_a_session_that_adds_nothing_leaves_the_files_alone(tmp_path):
    written(tmp_path, [*FIRST, CLOSED])
    before = {path: path.read_bytes() for path in (tmp_path / RUN).iterdir()}
    written(tmp_path, [SECOND[0], CLOSED], earlier=[*FIRST, CLOSED])
    assert {path: path.read_bytes() for path in (tmp_path / RUN).iterdir()} == before


def test_decisions_of_a_session_about_earlier_ones_are_points_of_it(tmp_path):
    """A driver that was killed between a result and the stop that follows from it."""
    stop = typed({**FIRST[5].to_json(), "time": 9000.0})
    curves = written(tmp_path, [SECOND[0]], earlier=FIRST[:5])
    curves.on_event(stop, None, replay=True)
    assert read_curves(tmp_path / RUN)[BEST_BY_TRIALS] == [(1, 0.5)]
