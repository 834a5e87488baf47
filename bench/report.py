"""The results as tables: for a terminal, and in markdown for docs/performance.md."""

from collections.abc import Sequence
from typing import Any

# A row's key, its column's head, how it is written. A case shows those that one of its rows has.
COLUMNS = (
    ("label", "", "{}"),
    ("rate", "{unit}", "{:,.0f}"),
    ("rate_min", "least", "{:,.0f}"),
    ("rate_max", "most", "{:,.0f}"),
    ("ms", "ms/1000", "{:,.1f}"),
    ("share", "of the whole", "{:.0%}"),
    ("ratio", "ours is", "{:.2f} x"),
    ("load_rate", "load alone", "{:,.0f}"),
    ("client_cpu_s", "CPU s/1000", "{:.4f}"),
    ("database_cpu_s", "database's", "{:.4f}"),
    ("queue_cpu_s", "queue's", "{:.4f}"),
    ("busy", "cores busy", "{:.0%}"),
    ("core", "core", "{}"),
    ("of_core", "of its core", "{:.0%}"),
    ("core_busy", "that core busy", "{:.0%}"),
    ("peak_mib", "peak MiB", "{:.1f}"),
    ("stored", "new rows", "{:,}"),
    ("items", "of", "{:,}"),
    ("n_errors", "failures", "{}"),
)


def table(case: dict[str, Any]) -> list[list[str]]:
    """Its head, then its rows."""
    columns = [column for column in COLUMNS if any(column[0] in row for row in case["rows"])]
    head = [title.format(unit=case["unit"]) for _, title, _ in columns]
    return [head] + [
        [form.format(row[key]) if row.get(key) is not None else "" for key, _, form in columns] for row in case["rows"]
    ]


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
