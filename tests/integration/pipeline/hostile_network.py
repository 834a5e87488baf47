"""
Runs itemgend with its queues in a network namespace of the test (network_world.py), and finds out which addresses the hostile
package can reach in each network. Prints {network: {address: answer}}.

    python -m tests.integration.pipeline.hostile_network PROGRAMS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from local.stack import Stack
from tests.integration.network_world import ENDPOINTS, ORDINARY
from tests.integration.pipeline.conftest import Pipeline
from tests.integration.pipeline.hostile_site import Site, site

WAYS = [("bubblewrap", "filtered"), ("bubblewrap", "closed"), ("bubblewrap", "open"), ("limits", "open")]


def look(made: Site, network: str) -> dict[str, str]:
    """Waits for IPv6, which a filtered network has only some seconds after the start of its server."""
    ordinary = [f"{address}:80" for address in ORDINARY]
    deadline = time.monotonic() + 30
    while True:
        seen: dict[str, str] = made.see("connect", *[f"{address}:80" for address in ENDPOINTS], *ordinary)
        if network != "filtered" or all(seen[place] == "internet" for place in ordinary) or time.monotonic() > deadline:
            return seen
        time.sleep(1)


def main() -> None:
    seen = {}
    with tempfile.TemporaryDirectory(prefix="hostile-network.") as folder, Stack(folder, fsync=False, run_daemons=False, programs=Path(sys.argv[1])) as stack:
        pipeline = Pipeline(stack)
        for sandbox, network in WAYS:
            with site(pipeline, sandbox, False, ITEMGEND_NETWORK=network, ITEMGEND_TIME_LIMIT="60s", UV_OFFLINE="1") as made:
                made.start()
                seen[f"{sandbox}, {network}"] = look(made, network)
        pipeline.db.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
