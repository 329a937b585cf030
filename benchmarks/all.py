"""Runs every benchmark and renews the table of the README. `make bench` calls it."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SCRIPTS = ("trial_overhead.py", "training_throughput.py", "memory.py")


def measured(script: str, quick: bool) -> dict[str, Any]:
    """What a script writes with `--json`, from a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        arguments = ["--quick"] if quick else []
        subprocess.run(
            [sys.executable, str(HERE / script), "--json", file.name, *arguments], check=True
        )
        content: dict[str, Any] = json.loads(Path(file.name).read_text())
        return content


def table(results: list[dict[str, Any]]) -> str:
    """The rows as Markdown, under the hardware and versions that they were measured on."""
    about = results[0]
    facts = [
        f"{name} {value}" for name, value in {**about["hardware"], **about["versions"]}.items()
    ]
    lines = ["| benchmark | case | metric | value |", "|---|---|---|---|"]
    for result in results:
        for row in result["rows"]:
            number = row["value"]
            value = f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"
            value = f"{value} {row['unit']}"
            lines.append(f"| {row['benchmark']} | {row['case']} | {row['metric']} | {value} |")
    return "\n".join([*lines, "", f"Measured by `make bench` on {', '.join(facts)}."])


def main() -> None:
    """Measures, and writes between the two marks of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look; the README stays as it is")
    quick = parser.parse_args().quick
    results = [measured(script, quick) for script in SCRIPTS]
    if quick:
        return
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


if __name__ == "__main__":
    main()
