"""A real TensorBoard server, asked as its pages ask it."""

import json
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


@contextmanager
def served(logdir, *arguments):
    """The address of a server of `logdir`, which looks for news every second."""
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)]
    address = ["--host", "127.0.0.1", "--port", "0", "--reload_interval", "1"]
    server = subprocess.Popen(
        [*program, *address, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        said = b""
        while (found := re.search(rb"http://[^ ]+/", said)) is None:
            line = server.stderr.readline()
            assert line, said
            said += line
        yield found.group().decode()
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


def asked(address, path, request=None):
    """Return the answer to a GET, or to a page's POST."""
    body = None if request is None else json.dumps(request).encode()
    question = urllib.request.Request(address + path, body, {"Content-Type": "text/plain"})
    with urllib.request.urlopen(question, timeout=60) as answer:
        return json.load(answer)


def hparams_of(address):
    """Return what HPARAMS loads first: the columns, and the session groups by name."""
    plugin = "experiment/defaultExperimentId/data/plugin/hparams/"
    request = {"experimentName": "defaultExperimentId", "hparamsLimit": 1000}
    experiment = asked(address, plugin + "experiment", request)
    columns = [
        *({"hparam": info["name"], "includeInResult": True} for info in experiment["hparamInfos"]),
        *({"metric": info["name"], "includeInResult": True} for info in experiment["metricInfos"]),
    ]
    request = {
        "experimentName": "defaultExperimentId",
        "allowedStatuses": STATUSES,
        "colParams": columns,
        "startIndex": 0,
        "sliceSize": 100,
    }
    groups = asked(address, plugin + "session_groups", request)["sessionGroups"]
    return experiment, {group["name"]: group for group in groups}


def metrics_of(group):
    """Return the cells of a line that are metrics; the answer has NaN for an empty cell."""
    cells = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
    return {tag: value for tag, value in cells.items() if value != "NaN"}
