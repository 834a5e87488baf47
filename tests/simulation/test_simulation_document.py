"""
docs/explanation/scaling.md has the figures of a fresh run, and its conclusions match them. The command prints the same
figures.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from simulation import __main__ as command
from simulation import bill, prices, scenarios, tables
from simulation.world import Outcome

TOP = Path(__file__).resolve().parents[2]
DOCUMENT = TOP / "docs" / "explanation" / "scaling.md"


@pytest.fixture(scope="module")
def results() -> command.Results:
    return command.run()


def test_its_tables_are_those_of_a_fresh_run(results: command.Results) -> None:
    text = DOCUMENT.read_text()
    places = re.findall(r"<!-- simulation: (\w+) -->", text)
    assert sorted(places) == sorted(table.name for table in results.tables())
    assert text.count("<!-- end -->") == len(places)
    assert tables.update(text, results.tables()) == text, 'make simulate SIMULATE="--update docs/explanation/scaling.md"'


def test_it_names_what_could_not_be_confirmed() -> None:
    text = " ".join(DOCUMENT.read_text().split())
    for sentence in prices.UNCONFIRMED:
        assert sentence in text


def pair(results: command.Results, scenario: str, stage: str = "generation") -> tuple[Outcome, Outcome]:
    run = next(run for run in results.runs if run.scenario.name == scenario)
    return run.of("ours", stage), run.of("original", stage)


def test_its_statements_about_the_scenarios(results: command.Results) -> None:
    ours, original = pair(results, "burst")
    assert ours.drained_s < original.drained_s and 7 <= original.dollars / ours.dollars <= 9
    ours, original = pair(results, "small")
    assert ours.drained_s > original.drained_s and ours.dollars > original.dollars
    ours, original = pair(results, "steady")
    assert 8 <= original.dollars / ours.dollars <= 10
    ours, original = pair(results, "steady", "loading")
    assert ours.dollars > original.dollars
    ours, original = pair(results, "waiting")
    assert ours.drained_s > original.drained_s and ours.dollars < original.dollars
    ours, original = pair(results, "poison_items", "loading")
    assert ours.good_dead == 0 and original.done == 0 and original.good_dead > 0
    assert pair(results, "no_insights")[0].tasks_max == 1
    kept, unkept = pair(results, "night")[0], pair(results, "night_unkept")[0]
    assert unkept.wake_s - kept.wake_s == 15 * 60


def test_its_statements_about_the_bill(results: command.Results) -> None:
    million, hundred = results.bills
    most = bill.capacity(results.terraform)
    assert most.itemloadd_task > 200 * most.itemgend_task
    assert hundred.itemgend_tasks > results.terraform.generation.scaling.max_tasks >= million.itemgend_tasks
    least = min(vcpu * prices.RDS_BASELINE[name] for name, (vcpu, _) in prices.RDS_INSTANCES.items())
    assert hundred.database_vcpu < least
    assert million.together == pytest.approx(
        million.sns + million.sqs + million.itemgend + million.itemloadd + million.logs + million.database
    )


def test_a_day_of_a_million_by_hand(results: command.Results) -> None:
    """Two publishes for each item, one task of each daemon all day."""
    day = results.bills[0]
    assert day.sns == pytest.approx(2 * 1e6 * 0.5e-6)
    assert day.itemgend == pytest.approx(24 * (2 * 0.04048 + 5 * 0.004445 + 0.005))
    assert day.itemloadd == pytest.approx(24 * (0.5 * 0.04048 + 1 * 0.004445 + 0.005))
    assert day.lambda_generation == pytest.approx(1e6 * (0.854 * 1769 / 1024 * 0.0000166667 + 0.2e-6))
    assert day.sqs == pytest.approx(1e6 * day_requests(day.rate) * 0.4e-6, rel=0.01)


def day_requests(rate: float) -> float:
    """
    A receive and a delete for the request. For the item: a batch of two seconds of one of two workers has `rate` items,
    with 21 receives, and deletes by tens.
    """
    return 2 + 21 / rate + 2 / rate


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["simulation", *arguments])
    return command.main()


def test_the_command_prints_its_seed_and_its_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "--scenario", "small", "--seed", "5") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seed 5\n") and "\n  small  100 requests at once\n" in printed
    assert "burst" not in printed
    assert main(monkeypatch, "--scenario", "small", "--markdown") == 0
    assert "| small | 100 requests at once |" in capsys.readouterr().out


def test_its_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for _ in range(2):
        assert main(monkeypatch, "--scenario", "small,poison", "--json") == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    found = json.loads(printed[0])
    assert found["seed"] == 1 and set(found["scenarios"]) == {"small", "poison"}
    outcomes = found["scenarios"]["small"]["outcomes"]
    assert [(outcome["who"], outcome["stage"]) for outcome in outcomes] == [
        (who, stage) for who in ("ours", "original") for stage in ("generation", "loading")
    ]
    assert all(outcome["done"] == 100 for outcome in outcomes)


def test_an_unknown_scenario(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(monkeypatch, "--scenario", "brust")
    assert "no such scenario: brust; there are burst, " in capsys.readouterr().err


def test_update_touches_nothing_but_its_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "document.md"
    file.write_text("before\n<!-- simulation: scenarios -->\nold\n<!-- end -->\nafter | old |\n")
    assert main(monkeypatch, "--scenario", "small", "--update", str(file)) == 0
    title = scenarios.BY_NAME["small"].title
    expected = f"|  | what happens |\n| --- | --- |\n| small | {title} |"
    assert file.read_text() == f"before\n<!-- simulation: scenarios -->\n{expected}\n<!-- end -->\nafter | old |\n"
