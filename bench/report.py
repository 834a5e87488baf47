"""The results as tables: for a terminal, and in Markdown for docs/explanation/performance.md."""

from collections.abc import Sequence
from typing import Any

RATE = "{:,.0f}"
# A row's key, its column's heading, and its format. A case shows the columns for which one of its rows has a value.
COLUMNS = (
    ("label", "", "{}"),
    ("rate", "{unit}", RATE),
    ("rate_min", "least", RATE),
    ("rate_max", "most", RATE),
    ("seconds", "{unit}", "{:.2f}"),
    ("seconds_max", "worst", "{:.2f}"),
    ("ms", "ms/1000", "{:,.1f}"),
    ("share", "of the whole", "{:.0%}"),
    ("with_one", "with one", RATE),
    ("share_of_one", "share", "{:.2f}"),
    ("goal", "goal", "{:.1f}"),
    ("reached", "reached", "{}"),
    ("ratio", "ours is", "{:.2f} x"),
    ("load_rate", "load alone", "{:,.0f}"),
    ("client_cpu_s", "CPU s/1000", "{:.4f}"),
    ("database_cpu_s", "database's", "{:.4f}"),
    ("queue_cpu_s", "queue's", "{:.4f}"),
    ("cpu_s", "CPU s", "{:.2f}"),
    ("cpu_ms", "CPU ms an item", "{:,.1f}"),
    ("own_cpu_ms", "its own", "{:,.2f}"),
    ("busy", "cores busy", "{:.0%}"),
    ("core", "core", "{}"),
    ("of_core", "of its core", "{:.0%}"),
    ("core_busy", "that core busy", "{:.0%}"),
    ("resident_mib", "MiB", "{:.1f}"),
    ("peak_mib", "peak MiB", "{:.1f}"),
    ("children_mib", "children's MiB", "{:,.1f}"),
    ("published_bytes", "published", "{:,.0f}"),
    ("table_bytes", "table", "{:,.0f}"),
    ("index_bytes", "indexes", "{:,.0f}"),
    ("disk_bytes", "together", "{:,.0f}"),
    ("wal_bytes", "log", "{:,.0f}"),
    ("stored", "new rows", "{:,}"),
    ("items", "of", "{:,}"),
    ("n_errors", "failures", "{}"),
)


def written(form: str, value: Any) -> str:
    """A rate may be one item in two seconds, or thousands in one."""
    if value is None:
        return ""
    return f"{value:.2f}" if form == RATE and 0 < value < 100 else form.format(value)


def table(case: dict[str, Any]) -> list[list[str]]:
    """The heading, then the rows."""
    columns = [column for column in COLUMNS if any(column[0] in row for row in case["rows"])]
    head = [title.format(unit=case["unit"]) for _, title, _ in columns]
    return [head] + [[written(form, row.get(key)) for key, _, form in columns] for row in case["rows"]]


def machine_line(results: dict[str, Any]) -> str:
    machine = results["machine"]
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_mib']:,} MiB, Linux {machine['kernel']}, "
        f"{machine['postgresql']}, pypgstac {machine['pypgstac']}, {machine['compiler']}; {results['items']} items, "
        f"median of {results['repeat']}"
    )


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])])
        for line in lines
    ]


def text(results: dict[str, Any]) -> str:
    out = [machine_line(results)]
    for case in results["cases"]:
        out += ["", f"{case['case']}: {case['title']}", *("  " + line for line in aligned(table(case)))]
        out += [f"  ! {row['label']}: {error}" for row in case["rows"] for error in row.get("errors", [])[:1]]
        out += [f"  {note}" for note in case.get("notes", [])]
    return "\n".join(out)


def markdown(results: dict[str, Any]) -> str:
    out = [f"Measured on {machine_line(results)}."]
    for case in results["cases"]:
        head, *rows = table(case)
        out += ["", f"**{case['case']}**: {case['title']}", "", f"| {' | '.join(head)} |"]
        out += ["|---" + "|---:" * (len(head) - 1) + "|"]
        out += [f"| {' | '.join(row)} |" for row in rows]
        out += ["", *case["notes"]] if case.get("notes") else []
    return "\n".join(out)
