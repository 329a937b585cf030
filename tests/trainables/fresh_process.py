"""Run by `test_export.py`: an export in a process that has torch, but none of this project.

    python fresh_process.py ANSWERS.npz EXPORT,EXPORT… FILE…

The command line of the first export is run with the files, then `predict` for each export.
"""

import runpy
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

ABSENT = {"ray", "tune_cluster", "tune_jobs", "search_spaces", "trainables", "pydantic", "sklearn"}


class Absent(MetaPathFinder):
    """Finds nothing of what is not on the machine of an export."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def main():
    sys.meta_path.insert(0, Absent())
    answers, exports, *files = sys.argv[1:]
    exports = exports.split(",")
    script = str(Path(exports[0], "predict.py"))
    sys.argv = [script, *files]
    runpy.run_path(script, run_name="__main__")
    import numpy as np

    predict, task = runpy.run_path(script)["predict"], Path(answers).stem
    each = {}
    for number, export in enumerate(exports):
        # Images are taken together, a table or the texts of a file one by one.
        if task == "image":
            each[str(number)] = predict(files, export)
        elif task == "table":
            each[str(number)] = np.concatenate([predict(file, export) for file in files])
        else:
            texts_in = runpy.run_path(script)["texts_in"]
            texts = [text for file in files for text in texts_in(file, None)]
            each[str(number)] = predict(texts, export)
    np.savez(answers, **each)


if __name__ == "__main__":
    main()
