"""Trials at once, while nodes join and leave."""

import pytest

from tune_cluster.cluster.connect import HEAD, Cluster
from tune_cluster.cluster.growth import Growth, NodeType
from tune_cluster.cluster.width import EVERY, Width


class Nodes:
    """A cluster that a test changes, and a clock that it winds."""

    def __init__(self, **nodes):
        self.up, self.now, self.looks = nodes, 0.0, 0

    def look(self):
        self.looks += 1
        return dict(self.up)

    def width(self, cpus=1, gpus=0, growth=None):
        cluster = Cluster(tuple(self.up.values()), growth or Growth())
        self.changes = []
        width = Width(cluster, cpus, gpus, look=self.look, clock=lambda: self.now)
        width.note = lambda event, line: self.changes.append(event["trials"])
        return width

    def wait(self):
        self.now += EVERY


def test_it_grows_with_a_node_that_joins_and_shrinks_with_one_that_leaves():
    nodes = Nodes(a={"CPU": 2.0, HEAD: 1.0})
    width = nodes.width()
    assert width() == 2
    nodes.up["b"] = {"CPU": 4.0}
    nodes.wait()
    assert width() == 6
    del nodes.up["b"]
    nodes.wait()
    assert [width(), width()] == [2, 2]
    assert nodes.changes == [6, 2]


def test_the_cluster_is_not_asked_at_every_step():
    nodes = Nodes(a={"CPU": 2.0})
    width = nodes.width()
    for _ in range(100):
        nodes.now += EVERY / 50
        width()
    assert nodes.looks == 2


def test_with_no_node_left_one_trial_waits_for_the_next():
    nodes = Nodes(a={"CPU": 2.0})
    width = nodes.width(cpus=2)
    nodes.up.clear()
    nodes.wait()
    assert width() == 1
    nodes.up.update(b={"CPU": 8.0})
    nodes.wait()
    assert width() == 4


def test_what_an_autoscaler_may_start_counts_before_it_is_up():
    nodes = Nodes(head={HEAD: 1.0})
    width = nodes.width(growth=Growth((NodeType("cpu", {"CPU": 4.0}, 2),), 2))
    assert width() == 8
    nodes.up.update(b={"CPU": 4.0})
    nodes.wait()
    assert width() == 8
    assert nodes.changes == []


def test_a_trial_that_fits_nowhere_is_an_error_from_the_start():
    with pytest.raises(ValueError, match="fits on no node"):
        Nodes(a={"CPU": 2.0}).width(cpus=4)
