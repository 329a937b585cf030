"""The best model of a study as weights, `config.json` and a `predict.py`.

`tune-cluster export STUDY` is equivalent. What a task knows of its networks is in `trainables/`;
of a trainable of one's own the files of its checkpoint are exported.
"""

import argparse
from pathlib import Path

from trainables.export import export_network, task_of
from tune_cluster.errors import exit_on_error
from tune_cluster.plain_text import argument, one_line
from tune_cluster.reports.export_own import export_own
from tune_cluster.reports.export_study import chosen, new_folder
from tune_cluster.storage.store import expanded


def main() -> None:
    """Export the study that the command line names."""
    parser = argparse.ArgumentParser(
        prog="tune-cluster export", description=__doc__.splitlines()[0]
    )
    parser.add_argument("study", help="its folder, or s3://bucket/folder/name")
    parser.add_argument("--to", help="folder of the export; default: the study's name and -export")
    given = parser.parse_args()
    with exit_on_error(), chosen(given.study) as best:
        target = Path(expanded("--to", given.to or f"{best.name}-export"))
        with new_folder("--to", target):
            task = task_of(best.folder)
            notices = [best.notice] if best.notice else []
            if task is None:
                if str(best.study.about.get("trainable")).startswith("trainables."):
                    notices.append(
                        "its checkpoint is of an earlier version, which did not say how inputs are "
                        "prepared: search once more for a predict.py that is whole"
                    )
                written = export_own(best, target)
                next_step = (
                    f"write build_model in {argument(str(target / 'predict.py'))}"
                    if written
                    else f"{argument(str(target / 'checkpoint'))} has the files of its checkpoint"
                )
            else:
                export_network(best.folder, target, best.described())
                next_step = f"python {argument(str(target / 'predict.py'))} FILE"
        for notice in notices:
            print(one_line(f"NOTICE    {notice}"))
        described = best.described()
        print(
            one_line(
                f"model     trial {best.trial} after epoch {best.epoch:g}, {described['metric']} "
                f"{described['value']:.6g}: {target}"
            )
        )
        print(one_line(f"next      {next_step}"))


if __name__ == "__main__":
    main()
