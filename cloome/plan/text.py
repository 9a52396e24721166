"""Numbers and tables for people, as plain text."""


def amount(count: float) -> str:
    """Bytes in decimal units: ``1,353 GB``, ``4.1 GB``, ``617 kB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{rounded(count / size)} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours: ``40 s``, ``12 min``, ``524,000 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{rounded(seconds / 3600)} h"


def rounded(value: float) -> str:
    """Two digits below ten, whole numbers below ten thousand, three digits above: ``4.1``, ``1,353``, ``524,000``."""
    if value < 10:
        return f"{value:.2g}"
    return f"{value:,.0f}" if value < 10_000 else f"{float(f'{value:.3g}'):,.0f}"


def counted(number: int, what: str) -> str:
    """A number and its noun: ``1 plate``, ``2,030 plates``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def aligned(rows: list[list[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    """Lines of a table, indented; columns are set right but for those of the given numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        cells = [cell.ljust(width) if c in left else cell.rjust(width) for c, (cell, width) in enumerate(cells)]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
