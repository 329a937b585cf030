"""Run the benchmarks and update their sections of docs/figures.md. `make bench` runs all, in about
two hours; `python benchmarks/all.py tabular divergence` these two, `python benchmarks/all.py gpu`
what needs a GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURES = HERE.parent / "docs" / "figures.md"
TITLE = """# Figures

Results of `make bench`, each section with the machine it was measured on. The head of
`benchmarks/<section>.py` has the claim and the method.
"""
BENCHMARKS = (
    "trial_overhead",
    "scaling",
    "training_throughput",
    "lstm_steps",
    "memory",
    "report_scale",
    "suggestions",
    "divergence",
    "tabular",
    "table_baselines",
    "rules",
    "fidelity",
    "confirm",
    "faults",
    "doctor",
    "peers",
)


def measured(benchmark: str, quick: bool) -> dict[str, Any]:
    """Return the JSON of a script, run with `--json` in a process of its own."""
    script = HERE / f"{benchmark}.py"
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        arguments = ["--quick"] if quick else []
        subprocess.run([sys.executable, str(script), "--json", file.name, *arguments], check=True)
        content: dict[str, Any] = json.loads(Path(file.name).read_text())
        return content


def section(result: dict[str, Any]) -> str:
    """Return the rows as Markdown, with the hardware and versions that they were measured on."""
    facts = {**result["hardware"], **result["versions"]}
    lines = ["| case | metric | value |", "|---|---|---|"]
    for row in result["rows"]:
        number = row["value"]
        value = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
        lines.append(f"| {row['case']} | {row['metric']} | {value} {row['unit']} |")
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n".join([*lines, "", f"Measured on {told}."])


def sections() -> dict[str, str]:
    """Return the sections of docs/figures.md, by benchmark."""
    if not FIGURES.exists():
        return {}
    _, *parts = FIGURES.read_text().split("\n## ")
    return {name: text.strip() for name, text in (part.split("\n", 1) for part in parts)}


def main() -> None:
    """Measure, and write the sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", default=BENCHMARKS, metavar="BENCHMARK")
    parser.add_argument("--quick", action="store_true", help="a look; the figures stay as they are")
    arguments = parser.parse_args()
    for name in arguments.benchmarks:
        result = measured(name, arguments.quick)
        if not arguments.quick:
            # Each section stays in its place, including manual ones; a new one comes last.
            known = {**sections(), name: section(result)}
            texts = [f"\n## {heading}\n\n{text}\n" for heading, text in known.items()]
            FIGURES.write_text(TITLE + "".join(texts))


if __name__ == "__main__":
    main()
