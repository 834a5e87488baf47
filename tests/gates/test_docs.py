"""The documentation: the site builds, asks no other host for anything, and its pages name only things that exist."""

from __future__ import annotations

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted(TOP.glob("docs/**/*.md"))
MKDOCS = TOP / "build" / "venv-docs" / "bin" / "mkdocs"

# Attributes through which a page loads something. A link (a, area) loads nothing until somebody follows it.
LOADING = {"src", "srcset", "data", "poster", "action", "background", "href"}
# Code of the theme for features that our configuration does not use (diagrams; the star count of a forge, one of them
# with a computed name), and for old browsers.
DORMANT = {
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js",
    "https://unpkg.com/resize-observer-polyfill",
    "https://api.github.com/repos/",
    "https://api.github.com/users/",
    "https://",
}


class Page(HTMLParser):
    """Collects what an HTML page loads, its links, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.classes: set[str] = set()
        self.scripts: list[str] = []
        self.in_script = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.classes |= set(values.get("class", "").split())
        self.in_script = tag == "script" and values.get("type", "text/javascript") == "text/javascript"
        if tag in ("a", "area"):
            self.links += [values["href"]] if "href" in values else []
        elif not (tag == "link" and values.get("rel") in ("canonical", "prev", "next", "alternate")):
            self.loads += [values[name] for name in LOADING & set(values) if values[name]]
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.loads.append(values.get("content", ""))
        self.loads += re.findall(r"url\(([^)]*)\)", values.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the site as `make docs` does, in another folder."""
    assert MKDOCS.exists(), "make deps-test installs it"
    made = tmp_path_factory.mktemp("site")
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [MKDOCS, "build", "--quiet", "--strict", "--site-dir", made]
    done = subprocess.run(command, cwd=TOP, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def html(site: Path) -> dict[Path, Page]:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) >= len(PAGES)
    return pages


def is_elsewhere(url: str) -> bool:
    return bool(re.match(r"\s*([a-z+.-]+:)?//", url)) or urlsplit(url).scheme not in ("", "data")


def test_each_page_is_in_the_navigation(site: Path) -> None:
    nav = set(re.findall(r"[\w/-]+\.md", (TOP / "mkdocs.yml").read_text()))
    assert nav == {str(path.relative_to(TOP / "docs")) for path in PAGES}
    assert all((site / name).with_suffix(".html").exists() for name in nav)


def test_no_page_loads_anything_from_another_host(html: dict[Path, Page]) -> None:
    assert [f"{page.path.name}: {url}" for page in html.values() for url in page.loads if is_elsewhere(url)] == []
    inline = [f"{page.path.name}: {script}" for page in html.values() for script in page.scripts if "//" in script]
    assert inline == []
    # The theme's code would make a request for each of these: a diagram, and the forge whose address the configuration
    # lacks.
    assert [page.path.name for page in html.values() if "mermaid" in page.classes or "md-source" in page.classes] == []


def test_no_style_or_script_loads_anything_from_another_host(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for path in styles:
        text = path.read_text()
        loaded = re.findall(r"url\(\s*['\"]?([^'\")]*)", text) + re.findall(r"@import\s+['\"]([^'\"]*)", text)
        assert [url for url in loaded if is_elsewhere(url)] == [], path
    for path in site.rglob("*.js"):
        if path.name == "search_index.js":
            continue
        code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        named = set(re.findall(r"[\"'`](https?://[^\"'`$]*)", code)) - {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
        assert {url for url in named if not url.startswith("http://www.w3.org/")} - DORMANT == set(), path


def test_each_link_within_the_site_leads_somewhere(html: dict[Path, Page]) -> None:
    wrong = []
    for page in html.values():
        for link in page.links:
            if is_elsewhere(link) or page.path.name == "404.html":
                continue
            path, anchor = urlsplit(link).path, unquote(urlsplit(link).fragment)
            target = (page.path.parent / unquote(path)).resolve() if path else page.path
            if target.is_dir():
                target /= "index.html"
            if not target.exists() or (anchor and target in html and anchor not in html[target].anchors):
                wrong.append(f"{page.path.name}: {link}")
    assert wrong == []


def test_each_link_of_the_readme_leads_somewhere() -> None:
    for path in (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", TOP / "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            assert is_elsewhere(link) or (TOP / link).exists(), f"{path.name}: {link}"


def test_the_readme_is_short() -> None:
    assert len((TOP / "README.md").read_text().splitlines()) <= 120


def test_each_page_begins_with_what_its_reader_can_do_and_shows_a_command() -> None:
    wrong = []
    for path in PAGES:
        text = path.read_text()
        opening = text.split("\n", 2)[2].lstrip() if text.startswith("# ") else ""
        before_second_heading = text.split("\n## ")[0]
        if not opening.startswith("After this page") or not re.search(r"^( {4}\S|```)", before_second_heading + text, re.M):
            wrong.append(str(path.relative_to(TOP)))
    assert wrong == []


@pytest.mark.parametrize("path", [*PAGES, TOP / "CONTRIBUTING.md"], ids=lambda path: str(path.relative_to(TOP)))
def test_it_names_existing_files_and_functions(path: Path) -> None:
    text = path.read_text()
    folders = "bench|container|daemons|deb|docs|etc|lib|libexec|local|man|simulation|systemd|terraform|tests"
    named = set(re.findall(rf"`((?:{folders})(?:/[\w./-]+)?)`", text)) - {"libexec/stactools-ingest"}
    assert sorted(name for name in named if not (TOP / name).exists()) == []
    sources = "\n".join(file.read_text() for kind in ("c", "h") for top in ("lib", "daemons", "libexec") for file in (TOP / top).rglob(f"*.{kind}"))
    functions = set(re.findall(r"`(\w+)\(\)`", text))  # as in `settle()`
    assert sorted(name for name in functions if not re.search(rf"\b{name}\(", sources)) == []


def test_the_terraform_page_has_each_key_with_its_default() -> None:
    keys, outputs_text = (TOP / "docs/reference/terraform.md").read_text().split("## Outputs")
    documented = {key: default.strip("` ") for key, default in re.findall(r"^\| `([\w.]+)` \| (.*?)\|", keys, re.M)}
    example: dict[str, str] = {}
    section = ""
    for line in (TOP / "config.example.yaml").read_text().splitlines():
        if match := re.fullmatch(r"( *)(\w+):(?: (.*))?", line):
            indented, key, value = match[1], match[2], (match[3] or "")
            if not indented:
                section = key
                example[key] = value
            else:
                example.pop(section, None)
                example[f"{section}.{key}"] = value
    assert documented == example
    outputs = set(re.findall(r'^output "(\w+)"', (TOP / "terraform/outputs.tf").read_text(), re.M))
    named = {name for row in re.findall(r"^\| (`.*?) \|", outputs_text, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named == outputs


def codes_in_sources() -> set[str]:
    """The second arguments of err_never, log_failure and similar functions, and strings that are assigned to a code."""
    found: set[str] = set()
    for top in ("lib", "daemons", "libexec"):
        for path in (TOP / top).rglob("*.c"):
            text = path.read_text()
            for argument in re.findall(r"\b(?:err_(?:never|later|outage)|log_failure)\([^,;]+,\s*([^,;]+),", text):
                found |= set(re.findall(r'"([a-z][a-z_]*)"', argument))
            for value in re.findall(r"\b\*?code = ([^;]*);", text):
                found |= {code for code in re.findall(r'(?:[?:]\s*|^)"([a-z][a-z_]*)"', value)}
    assert len(found) > 60
    return found


def test_the_page_of_error_codes_has_each_code_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z_]+)` \|", (TOP / "docs/reference/error-codes.md").read_text(), re.M)
    assert len(documented) == len(set(documented))
    assert set(documented) == codes_in_sources()


# ------------------------------------------------------------ the version


def test_the_version_is_written_once(tmp_path: Path) -> None:
    version = (TOP / "VERSION").read_text().strip()
    assert re.findall(r"^## \[?(\d[\w.]*)", (TOP / "CHANGELOG.md").read_text(), re.M)[0] == version
    sanitize = ["SAN=1"] if os.environ.get("BUILD", "").endswith("san") else []
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    places = [f"DESTDIR={tmp_path}", "PREFIX=/opt/ingest", "UNITDIR=/lib/systemd/system"]
    done = subprocess.run(["make", "-s", *sanitize, "install", *places], cwd=TOP, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    share = tmp_path / "opt/ingest/share"
    for program in ("itemgend", "itemloadd", "itemctl"):
        page = (share / f"man/man8/{program}.8").read_text()
        assert f"\n.Os stactools-ingest {version}\n" in page
        for named in re.findall(r"^\.Pa (/\S+/share/doc/\S+)", page, re.M):
            assert (tmp_path / named[1:]).exists(), named
        said = subprocess.run([tmp_path / "opt/ingest/bin" / program, "--version"], capture_output=True, text=True)
        assert said.stdout == f"{program} {version}\n"
    installed = {path.relative_to(share / "doc/stactools-ingest/docs") for path in (share / "doc/stactools-ingest/docs").rglob("*.md")}
    assert installed == {path.relative_to(TOP / "docs") for path in PAGES}
