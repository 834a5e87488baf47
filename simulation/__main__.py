"""
`make simulate`: runs the scenarios and prints the tables of docs/explanation/scaling.md.

    python -m simulation [--seed 1] [--scenario burst,night] [--wait SECONDS] [--json | --markdown | --update FILE]

--wait: time that an item waits for its files, beside processor time. The rates of docs/explanation/performance.md were
measured on loopback, where this is almost 0.
--update: writes the tables into a document, each between <!-- simulation: NAME --> and <!-- end -->.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from simulation import bill, policy, scenarios, tables
from simulation.policy import Terraform
from simulation.world import Run, simulate

SEED = 1
MILLIONS_A_DAY = (1, 100)


@dataclass(frozen=True)
class Results:
    seed: int
    terraform: Terraform
    runs: Sequence[Run]
    late: Sequence[tuple[int, Run]]  # by how much later metrics are
    bills: Sequence[bill.Bill]
    wait_s: float

    def tables(self) -> list[tables.Table]:
        return tables.all_tables(self.terraform, self.runs, self.late, self.bills, self.wait_s)

    def json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "wait_s": self.wait_s,
            "policy": asdict(self.terraform),
            "scenarios": {
                run.scenario.name: {
                    "title": run.scenario.title,
                    "ended_s": run.ended_s,
                    "outcomes": [asdict(outcome) for outcome in run.outcomes],
                }
                for run in self.runs
            },
            "lateness": {str(later_s): [asdict(outcome) for outcome in run.outcomes] for later_s, run in self.late},
            "bills": [asdict(day) for day in self.bills],
        }


def run(seed: int = SEED, names: Sequence[str] = (), wait_s: float = 0.0) -> Results:
    terraform = policy.read()
    chosen = [
        replace(scenario, wait_s=wait_s or scenario.wait_s)
        for scenario in scenarios.SCENARIOS
        if not names or scenario.name in names
    ]
    return Results(
        seed,
        terraform,
        [simulate(scenario, terraform, seed) for scenario in chosen],
        [
            (later_s, simulate(replace(scenario, wait_s=wait_s), terraform, seed))
            for later_s, scenario in scenarios.LATER
        ],
        [bill.day(terraform, millions * 1e6, wait_s) for millions in MILLIONS_A_DAY],
        wait_s,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description="Simulates the scaling policy of terraform/.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--scenario", default="", help="names, separated by commas")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="time that an item waits for its files")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--markdown", action="store_true")
    output.add_argument("--update", type=Path, metavar="FILE")
    options = parser.parse_args()
    names = [name for name in options.scenario.split(",") if name]
    if unknown := set(names) - set(scenarios.BY_NAME):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(scenarios.BY_NAME)}")
    results = run(options.seed, names, options.wait)
    if options.json:
        print(json.dumps(results.json(), indent=1))
    elif options.markdown:
        print("\n\n".join(f"**{table.name}**\n\n{table.markdown()}" for table in results.tables()))
    elif options.update:
        options.update.write_text(tables.update(options.update.read_text(), results.tables()))
    else:
        print(f"seed {results.seed}")
        print("\n\n".join(table.text() for table in results.tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
