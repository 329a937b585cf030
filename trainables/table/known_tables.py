"""Public tables that packages contain, so that no network is needed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from trainables.table.targets import Kind

if TYPE_CHECKING:
    import pandas as pd

EXTRA = "tune-cluster[tables]"
"""Extra with the packages of the tables beside those of scikit-learn."""


class Known(NamedTuple):
    """A table that has a name."""

    read: Callable[[], "pd.DataFrame"]
    target: str
    kind: Kind
    """Kind of its target, unless the job asks for the other."""
    source: str
    """Package, and the license of the data."""


def _of_sklearn(name: str) -> Callable[[], "pd.DataFrame"]:
    def read() -> "pd.DataFrame":
        import sklearn.datasets

        bunch = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
        frame: pd.DataFrame = bunch.frame
        if "target_names" in bunch and len(set(bunch.target)) == len(bunch.target_names):
            frame["target"] = [str(bunch.target_names[code]) for code in bunch.target]
        return frame

    return read


def _of_statsmodels(name: str) -> Callable[[], "pd.DataFrame"]:
    def read() -> "pd.DataFrame":
        import statsmodels.api

        frame: pd.DataFrame = getattr(statsmodels.api.datasets, name).load_pandas().data
        return frame

    return read


def _of_vega(name: str) -> Callable[[], "pd.DataFrame"]:
    def read() -> "pd.DataFrame":
        import vega_datasets

        frame: pd.DataFrame = getattr(vega_datasets.local_data, name)()
        return frame

    return read


UCI = "scikit-learn, data of the UCI repository (CC BY 4.0)"

TABLES = {
    "breast_cancer": Known(_of_sklearn("breast_cancer"), "target", "classes", UCI),
    "wine": Known(_of_sklearn("wine"), "target", "classes", UCI),
    "digits": Known(_of_sklearn("digits"), "target", "classes", UCI),
    "anes96": Known(
        _of_statsmodels("anes96"), "vote", "classes", "statsmodels, data in the public domain"
    ),
    "seattle_weather": Known(
        _of_vega("seattle_weather"), "weather", "classes", "vega_datasets, data of NOAA, public"
    ),
    "diabetes": Known(
        _of_sklearn("diabetes"), "target", "numbers", "scikit-learn, data of Efron et al. 2004"
    ),
    "cars": Known(
        _of_vega("cars"), "Miles_per_Gallon", "numbers", "vega_datasets (MIT), data of StatLib"
    ),
    "fair": Known(
        _of_statsmodels("fair"),
        "affairs",
        "numbers",
        "statsmodels, data of Fair 1978, with the author's permission",
    ),
    "randhie": Known(
        _of_statsmodels("randhie"), "mdvis", "numbers", "statsmodels, data in the public domain"
    ),
}
"""Known tables by name."""
