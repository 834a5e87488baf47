"""The README's "How to use", typed as it stands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from local.stack import ROOT
from tests.integration.pipeline.conftest import Pipeline, wait_until


def blocks(section: str) -> dict[str, str]:
    """The shell commands below each heading of a section of the README."""
    text = (ROOT / "README.md").read_text()
    body = re.search(rf"^## {section}\n(.*?)^## ", text, re.M | re.S)
    assert body
    found = re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", body[1], re.M | re.S)
    return {heading: "\n".join(re.findall(r"^```bash\n(.*?)^```", part, re.M | re.S)) for heading, part in found}


def test_how_to_use(pipeline: Pipeline, tmp_path: Path) -> None:
    directory = Path(pipeline.stack.directory)
    pipeline.start("itemgend", ITEMGEND_WORKERS="2")
    pipeline.start("itemloadd")
    commands = blocks("How to use")

    def type_in(heading: str) -> str:
        script = f". {directory}/env\nset -e\ncd {ROOT}\nexport UV_CACHE_DIR={ROOT}/build/cache/uv\n{commands.pop(heading)}"
        done = subprocess.run(["bash", "-c", script.replace("urls.txt", f"{tmp_path}/urls.txt")], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{heading}: {done.stdout}{done.stderr}"
        return done.stdout

    type_in("Load collections")
    assert pipeline.query("SELECT id FROM collections WHERE id <> 'test'") == [("glad-glclu2020-v2",)]
    assert "MessageId" in type_in("Generate and load items")
    wait_until("the item is loaded", lambda: pipeline.ids("glad-glclu2020-v2") == ["2000_50N_090W"], timeout_s=180)
    type_in("Publish a ready item")
    wait_until("it is loaded", lambda: "example-item" in pipeline.ids("glad-glclu2020-v2"))
    type_in("Ingest many items")
    total = len((tmp_path / "urls.txt").read_text().splitlines())
    assert total > 1
    wait_until("all are loaded", lambda: len(pipeline.ids("glad-glclu2020-v2")) == total + 1, timeout_s=180)
    pipeline.publish(pipeline.load_topic, {})
    wait_until("there is a dead letter", lambda: pipeline.counts(pipeline.load_dlq)[0] == 1)
    told = type_in("Check dead letters")
    assert "invalid_item" in told and "id is missing" in told
    assert f"{total + 1} items read" in type_in("Load from files")
    assert "2000_50N_090W" in type_in("Read them back")
    commands.pop("Follow the logs")  # needs the booted system: tests/systemd
    assert commands == {}
