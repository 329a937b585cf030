"""Points of our random search, written for the peers before their times are measured."""

import json

from ours import SPACE
from work import POINTS, arguments

from search_spaces.searchers.random_search import RandomSearch


def main() -> None:
    """Draw and write."""
    options = arguments()
    search = RandomSearch(SPACE, seed=options.seed)
    points = [search.point(index) for index in range(options.trials)]
    (options.folder / POINTS).write_text(json.dumps(points))


if __name__ == "__main__":
    main()
