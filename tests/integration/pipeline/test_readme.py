"""Runs the commands of the README and of the pages for users as they are printed: each ```bash block of a page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from local.stack import ROOT
from tests.integration.pipeline.conftest import Pipeline, wait_until

COLLECTION = "glad-glclu2020-v2"


def blocks(page: str) -> dict[str, str]:
    """The shell commands below each heading of a page."""
    text = (ROOT / page).read_text()
    found = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    commands = {heading: "\n".join(re.findall(r"^```bash\n(.*?)^```", part, re.M | re.S)) for heading, part in found}
    return {heading: script for heading, script in commands.items() if script}


class Typist:
    """Runs a page's commands. Files that they create go into the test's own folder."""

    def __init__(self, page: str, pipeline: Pipeline, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.directory = Path(pipeline.stack.directory)
        self.left = blocks(page)

    def type_in(self, heading: str) -> str:
        commands = self.left.pop(heading)
        for written, here in (
            ("/tmp/", f"{self.folder}/"),
            ("build/local/", f"{self.directory}/"),
            ("urls.txt", f"{self.folder}/urls.txt"),
            (" items.ndjson", f" {self.folder}/items.ndjson"),
        ):
            commands = commands.replace(written, here)
        script = f". {self.directory}/env\nset -e\ncd {ROOT}\nexport UV_CACHE_DIR={ROOT}/build/cache/uv\n{commands}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{self.page}, {heading}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def typist(pipeline: Pipeline, tmp_path: Path):
    pipeline.start("itemgend", ITEMGEND_WORKERS="2")
    pipeline.start("itemloadd")
    made: list[Typist] = []

    def open_page(page: str) -> Typist:
        made.append(Typist(page, pipeline, tmp_path))
        return made[-1]

    yield open_page
    for one in made:
        assert one.left == {}, f"{one.page} has commands that were not run"


def load_the_collection(pipeline: Pipeline, page: Typist) -> None:
    page.type_in("Load a collection")
    wait_until("the collection is loaded", lambda: pipeline.query("SELECT id FROM collections WHERE id = %s", COLLECTION))


def test_getting_started(pipeline: Pipeline, typist, tmp_path: Path) -> None:
    page = typist("docs/getting-started.md")
    page.type_in("Load collections")
    assert pipeline.query("SELECT id FROM collections WHERE id <> 'test'") == [(COLLECTION,)]
    assert "MessageId" in page.type_in("Generate an item")
    wait_until("the item is loaded", lambda: pipeline.ids(COLLECTION) == ["2000_50N_090W"], timeout_s=180)
    wait_until("the log shows it", lambda: pipeline.log("itemloadd", "BATCH_LOADED"))
    assert '"event":"BATCH_LOADED"' in page.type_in("Follow the logs").replace('": "', '":"')
    page.type_in("Generate many items")
    total = len((tmp_path / "urls.txt").read_text().splitlines())
    assert total > 1
    wait_until("all are loaded", lambda: len(pipeline.ids(COLLECTION)) == total, timeout_s=180)
    assert page.type_in("Check for failures").count('"ApproximateNumberOfMessages": "0"') == 2
    page.type_in("Publish an item of your own")
    wait_until("it is loaded", lambda: "example-item" in pipeline.ids(COLLECTION))
    assert "2000_50N_090W" in page.type_in("Read the items back")


def test_generate(pipeline: Pipeline, typist, tmp_path: Path) -> None:
    load_the_collection(pipeline, load := typist("docs/how-to/load.md"))
    load.left.clear()
    page = typist("docs/how-to/generate.md")
    page.type_in("Choose the version and the collection")
    wait_until("its item is in that collection", lambda: pipeline.ids("forest"), timeout_s=180)
    page.type_in("Request many items")
    total = len((tmp_path / "urls.txt").read_text().splitlines())
    wait_until("all are loaded", lambda: len(pipeline.ids(COLLECTION)) == total, timeout_s=180)
    assert page.type_in("See how far it is").count('"0"') == 2


def test_load(pipeline: Pipeline, typist) -> None:
    page = typist("docs/how-to/load.md")
    load_the_collection(pipeline, page)
    page.type_in("Publish items")
    wait_until("both are loaded", lambda: pipeline.ids(COLLECTION) == ["first", "second"])
    assert "2 items read" in page.type_in("Load files")
    assert "second" in page.type_in("Read the items back")


def test_dead_letters(pipeline: Pipeline, typist, tmp_path: Path) -> None:
    page = typist("docs/how-to/dead-letters.md")
    pipeline.publish(pipeline.load_topic, {})
    wait_until("a dead letter has arrived", lambda: pipeline.counts(pipeline.load_dlq)[0] == 1)
    assert '"ApproximateNumberOfMessages": "1"' in page.type_in("Count them")
    assert "invalid_item" in (said := page.type_in("Find out why")) and "id is missing" in said
    pipeline.stop_all()
    page.type_in("Replay them")
    wait_until("it is back in the queue", lambda: pipeline.counts(pipeline.load_queue)[0] == 1)
    pipeline.start("itemloadd")
    wait_until("it is dead again", lambda: pipeline.counts(pipeline.load_dlq)[0] == 1)
    pipeline.stop_all()
    page.type_in("Correct one letter")
    assert (tmp_path / "letter.json").read_text() == "{}\n"
    assert pipeline.counts(pipeline.load_dlq) == (0, 0) and pipeline.counts(pipeline.load_queue)[0] == 1


def test_the_readme(pipeline: Pipeline, typist) -> None:
    load_the_collection(pipeline, load := typist("docs/how-to/load.md"))
    load.left.clear()
    page = typist("README.md")
    pipeline.publish(pipeline.gen_topic, {})
    wait_until("a dead letter has arrived", lambda: pipeline.counts(pipeline.gen_dlq)[0] == 1)
    daily = page.type_in("Daily use")
    assert "MessageId" in daily and '"ApproximateNumberOfMessages": "1"' in daily and "invalid_request" in daily
    assert "items read" in daily
    wait_until("the item is loaded", lambda: pipeline.ids(COLLECTION) == ["2000_50N_090W"], timeout_s=180)
    page.left.pop("Install and deploy")  # needed by tests/systemd and tests/container
