"""What a trainable asks for by Tune's own means is what its trials have, or it is refused."""

import pytest
from ray import tune
from ray.tune import PlacementGroupFactory

from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE, study_in
from tune_cluster.execution.validation import check_resources


def function(config):
    tune.report({"score": 1.0})


class Asking(tune.Trainable):
    @classmethod
    def default_resource_request(cls, config):
        return PlacementGroupFactory([{"CPU": 2 if config["quality"] > 0.5 else 1}])

    def step(self):
        return {"score": 1.0}


def asking(resources, trainable=function):
    if trainable is function:
        return tune.with_resources(lambda config: function(config), resources)
    return tune.with_resources(trainable, resources)


@pytest.mark.parametrize("trainable", [function, tune.Trainable])
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"cpu": 2}, "--cpus-per-trial 2"),
        ({"cpu": 1, "gpu": 0.5}, "--gpus-per-trial 0.5"),
        ({"cpu": 1, "tpu": 1}, "tpu"),
        (PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}]), "2 bundles"),
        (lambda config: PlacementGroupFactory([{"CPU": 4}]), "--cpus-per-trial 4"),
    ],
)
def test_other_resources_than_those_of_a_trial_are_refused(trainable, resources, said):
    with pytest.raises(ValueError, match=said):
        check_resources(asking(resources, trainable), [{}], cpus=1, gpus=0)


@pytest.mark.parametrize(
    "resources", [{"cpu": 2}, {"cpu": 2, "gpu": 1}, PlacementGroupFactory([{}, {"CPU": 2}])]
)
def test_those_that_a_trial_has_may_be_asked_for(resources):
    check_resources(asking(resources), [{}], cpus=2, gpus=1)
    check_resources(function, [{}], cpus=2, gpus=1)
    check_resources(tune.Trainable, [{}], cpus=2, gpus=1)


def test_what_depends_on_the_configuration_is_held_against_points_of_the_space(tmp_path):
    study = study_in(tmp_path)
    study.trainable(Asking)
    with pytest.raises(ValueError, match="--cpus-per-trial 2"):
        study.tune_config(RandomSearch(SPACE, seed=0))
