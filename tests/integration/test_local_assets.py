"""The asset server's GeoTIFFs match their names, and it serves parts of them."""

import http.client
import struct
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.assets import TILES, YEARS, upper_left
from local.stack import Stack

FORMATS = {3: "H", 4: "I", 12: "d"}


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def read_tags(data: bytes) -> dict[int, tuple[Any, ...]]:
    """Reads a TIFF's first directory, as TIFF 6.0 defines it."""
    order, version, offset = struct.unpack_from("<2sHI", data)
    assert (order, version) == (b"II", 42)
    (n,) = struct.unpack_from("<H", data, offset)
    tags: dict[int, tuple[Any, ...]] = {}
    for i in range(n):
        tag, kind, count = struct.unpack_from("<HHI", data, offset + 2 + 12 * i)
        layout = f"<{count}{FORMATS[kind]}"
        at = offset + 2 + 12 * i + 8
        if struct.calcsize(layout) > 4:
            (at,) = struct.unpack_from("<I", data, at)
        tags[tag] = struct.unpack_from(layout, data, at)
    assert list(tags) == sorted(tags)
    assert struct.unpack_from("<I", data, offset + 2 + 12 * n) == (0,), "no further image"
    return tags


def test_geotiff(stack: Stack) -> None:
    status, data, headers = fetch(f"{stack.asset_url}/v2/2000/50N_090W.tif")
    assert (status, headers["Content-Type"]) == (200, "image/tiff")
    tags = read_tags(data)
    assert (tags[256], tags[257], tags[258], tags[277], tags[339]) == ((400,), (400,), (8,), (1,), (1,))
    assert tags[33550] == (0.025, 0.025, 0.0)
    assert tags[33922] == (0.0, 0.0, 0.0, -90.0, 50.0, 0.0)
    keys = tags[34735]
    assert keys[:4] == (1, 1, 0, len(keys) // 4 - 1)
    assert {keys[i]: keys[i + 3] for i in range(4, len(keys), 4)} == {1024: 2, 1025: 1, 2048: 4326}
    (pixels,), (n_pixels,) = tags[273], tags[279]
    assert n_pixels == 400 * 400 and pixels + n_pixels == len(data)
    assert len(set(data[pixels:])) > 10


@pytest.mark.parametrize(
    ("tile", "corner"),
    [("50N_090W", (-90, 50)), ("00N_020E", (20, 0)), ("10S_130E", (130, -10)), ("40N_080W", (-80, 40))],
)
def test_names(tile: str, corner: tuple[float, float]) -> None:
    assert upper_left(tile) == corner


def test_invalid_names() -> None:
    with pytest.raises(ValueError, match="5N_090W"):
        upper_left("5N_090W")


def test_inventory(stack: Stack) -> None:
    for year in YEARS:
        _, text, _ = fetch(f"{stack.asset_url}/v2/{year}.txt")
        assert text.decode().splitlines() == [f"{stack.asset_url}/v2/{year}/{tile}.tif" for tile in TILES]
        assert {fetch(url, "HEAD")[0] for url in text.decode().splitlines()} == {200}


def test_ranges(stack: Stack) -> None:
    url = f"{stack.asset_url}/v2/2000/50N_090W.tif"
    _, whole, _ = fetch(url)
    n = len(whole)
    cases = {
        "bytes=0-7": (206, whole[:8], f"bytes 0-7/{n}"),
        "bytes=100-": (206, whole[100:], f"bytes 100-{n - 1}/{n}"),
        "bytes=-16": (206, whole[-16:], f"bytes {n - 16}-{n - 1}/{n}"),
        f"bytes=10-{n * 2}": (206, whole[10:], f"bytes 10-{n - 1}/{n}"),
        f"bytes={n}-": (416, b"", f"bytes */{n}"),
        "bytes=0-1,5-6": (200, whole, None),
        "bytes=7-3": (200, whole, None),
        "lines=1-2": (200, whole, None),
    }
    for header, (status, body, content_range) in cases.items():
        answer = fetch(url, Range=header)
        assert (answer[0], answer[1], answer[2].get("Content-Range")) == (status, body, content_range), header
    status, body, headers = fetch(url, "HEAD")
    assert (status, body, headers["Content-Length"], headers["Accept-Ranges"]) == (200, b"", str(n), "bytes")


@pytest.mark.parametrize("path", ["/v2/2000/50N_090W.tfw", "/v2/2000/", "/", "/../state.json", "/%2e%2e/state.json"])
def test_nothing_else_is_served(stack: Stack, path: str) -> None:
    assert fetch(stack.asset_url + path)[0] == 404


def test_a_connection_survives_missing_files(stack: Stack) -> None:
    with closing(http.client.HTTPConnection(urlsplit(stack.asset_url).netloc, timeout=10)) as connection:
        connection.connect()
        port = connection.sock.getsockname()[1]
        for method, path, status in (("HEAD", "/a.txt", 404), ("GET", "/b.txt", 404), ("HEAD", "/v2/2000/50N_090W.tif", 200)):
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert connection.sock and connection.sock.getsockname()[1] == port
