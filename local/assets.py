"""
A public bucket on loopback. It serves GeoTIFF tiles over HTTP, named like those of GLAD GLCLU2020, with HEAD and
Range.
"""

import argparse
import json
import os
import re
import struct
import sys
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

TILES = ("50N_090W", "40N_080W", "10N_060W", "00N_020E", "10S_130E", "60N_010E")
YEARS = ("2000", "2020")
SIZE = 400  # pixels, width and height
DEGREES = 10  # size of a tile, width and height

SHORT, LONG, DOUBLE = 3, 4, 12  # field types of TIFF 6.0
FORMATS = {SHORT: "H", LONG: "I", DOUBLE: "d"}


def upper_left(tile: str) -> tuple[float, float]:
    """Longitude and latitude of a tile's upper left corner. 50N_090W is (-90, 50)."""
    match = re.fullmatch(r"(\d\d)([NS])_(\d\d\d)([EW])", tile)
    if not match:
        raise ValueError(f"{tile}: not the name of a tile, for example 50N_090W")
    latitude = float(match[1]) * (1 if match[2] == "N" else -1)
    longitude = float(match[3]) * (1 if match[4] == "E" else -1)
    return longitude, latitude


def _fields(longitude: float, latitude: float, offset: int) -> list[tuple[int, int, tuple[float, ...]]]:
    """
    The image's tags in ascending order (TIFF 6.0; GeoTIFF 1.1): number, type, values. The pixels begin at `offset`.
    """
    geo_keys = (
        *(1, 1, 0, 3),  # version 1.1.0, three keys
        *(1024, 0, 1, 2),  # GTModelType: geographic
        *(1025, 0, 1, 1),  # GTRasterType: a pixel is an area
        *(2048, 0, 1, 4326),  # GeodeticCRS: WGS 84
    )
    return [
        (256, LONG, (SIZE,)),  # ImageWidth
        (257, LONG, (SIZE,)),  # ImageLength
        (258, SHORT, (8,)),  # BitsPerSample
        (259, SHORT, (1,)),  # Compression: none
        (262, SHORT, (1,)),  # PhotometricInterpretation: black is zero
        (273, LONG, (offset,)),  # StripOffsets: one strip
        (277, SHORT, (1,)),  # SamplesPerPixel
        (278, LONG, (SIZE,)),  # RowsPerStrip
        (279, LONG, (SIZE * SIZE,)),  # StripByteCounts
        (339, SHORT, (1,)),  # SampleFormat: unsigned
        (33550, DOUBLE, (DEGREES / SIZE, DEGREES / SIZE, 0.0)),  # ModelPixelScale
        (33922, DOUBLE, (0.0, 0.0, 0.0, longitude, latitude, 0.0)),  # ModelTiepoint
        (34735, SHORT, geo_keys),  # GeoKeyDirectory
    ]


def geotiff(tile: str, year: str) -> bytes:
    """A tile of SIZE x SIZE land cover classes, which differ between tiles and years."""
    header = 8
    longitude, latitude = upper_left(tile)
    n_fields = len(_fields(longitude, latitude, 0))
    values_at = header + 2 + 12 * n_fields + 4
    sizes = (struct.calcsize(f"<{len(v)}{FORMATS[t]}") for _, t, v in _fields(longitude, latitude, 0))
    pixels_at = values_at + sum(size for size in sizes if size > 4)
    entries, values = b"", b""
    for number, kind, numbers in _fields(longitude, latitude, pixels_at):
        packed = struct.pack(f"<{len(numbers)}{FORMATS[kind]}", *numbers)
        inline = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", values_at + len(values))
        values += b"" if len(packed) <= 4 else packed
        entries += struct.pack("<HHI", number, kind, len(numbers)) + inline
    shift = int(longitude) + int(latitude) + int(year)
    pixels = b"".join(bytes((row // 40 + column // 40 + shift) % 250 for column in range(SIZE)) for row in range(SIZE))
    directory = struct.pack("<H", n_fields) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, header) + directory + values + pixels


def generate(directory: Path, base_url: str) -> None:
    """Writes v2/YEAR/TILE.tif for each tile and year, and v2/YEAR.txt, the inventory that lists their URLs."""
    for year in YEARS:
        folder = directory / "v2" / year
        folder.mkdir(parents=True, exist_ok=True)
        for tile in TILES:
            (folder / f"{tile}.tif").write_bytes(geotiff(tile, year))
        urls = "".join(f"{base_url}/v2/{year}/{tile}.tif\n" for tile in TILES)
        (directory / "v2" / f"{year}.txt").write_text(urls)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """
    First and last byte of a Range header (RFC 9110, 14.1.2). last < first if the range cannot be satisfied. None if the
    header is not a single range of bytes; a server may ignore such a header.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return (size - length, size - 1) if length else (0, -1)
    first = int(match[1])
    if match[2] and int(match[2]) < first:
        return None
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return first, last


class Handler(SimpleHTTPRequestHandler):
    """Serves files with Range, because GDAL reads a TIFF in parts."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True  # so that a file follows its headers at once

    def send_head(self) -> BinaryIO | None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self._refuse()
            return None
        size = path.stat().st_size
        wanted = byte_range(self.headers.get("Range", ""), size)
        if wanted and wanted[1] < wanted[0]:
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, path, 0, f"bytes */{size}")
            return None
        first, last = wanted or (0, size - 1)
        self._left = last - first + 1
        file = path.open("rb")
        file.seek(first)
        status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        self._answer(status, path, self._left, f"bytes {first}-{last}/{size}" if wanted else None)
        return file

    def _refuse(self) -> None:
        """Keeps the connection open, as S3 does: GDAL asks for dozens of files that do not exist."""
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: HTTPStatus, path: Path, length: int, content_range: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", self.date_time_string(int(path.stat().st_mtime)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        while self._left > 0 and (block := source.read(min(65536, self._left))):
            outputfile.write(block)
            self._left -= len(block)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> int:
    parser = argparse.ArgumentParser(prog="local.assets", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where to write the files")
    parser.add_argument("--ready-fd", type=int, required=True, help='descriptor to write {"url": ...} to when the server is ready')
    options = parser.parse_args()

    def handler(*args: object) -> Handler:
        return Handler(*args, directory=str(options.directory))  # type: ignore[arg-type]

    with Server(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        generate(options.directory, url)
        os.write(options.ready_fd, json.dumps({"url": url}).encode())
        os.close(options.ready_fd)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
