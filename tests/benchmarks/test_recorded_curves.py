from record_curves import SPACE
from recorded_curves import Curves
from replay import OurStudy, replay

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch


def test_no_two_configurations_of_a_study_have_the_same_curve():
    curves = Curves()
    train = curves.study()
    config = RandomSearch(SPACE, seed=0).point(0)
    had = [id(train(config)) for _ in curves.curves]
    assert len(set(had)) == len(curves.curves)
    assert id(train(config)) == had[0]


def test_each_study_starts_with_all_curves():
    curves = Curves()
    config = RandomSearch(SPACE, seed=0).point(0)
    assert curves.study()(config) is curves.study()(config)


def test_a_study_on_recorded_curves_gives_its_recorded_figures():
    curves = Curves()
    strategy = OurStudy(
        RandomSearch(SPACE, seed=0), ASHA(max_epochs=27, grace_period=1), epochs=27, trials=400
    )
    found = replay(curves.study(), strategy, workers=4, epochs=400)
    # As they were before the loop was shared with strategies of others.
    assert found.epochs == 400
    assert round(found.seconds, 6) == 200.224022
    assert [best.epochs for best in found.best[-4:]] == [78, 79, 90, 316]
    assert round(100 * (curves.best - found.best_after(400)), 3) == 0.358
