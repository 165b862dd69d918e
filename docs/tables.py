"""Writes the settings table of docs/settings.md from the code: python -m docs.tables."""

from core.settings import ROOT, settings_table

SETTINGS_PAGE = ROOT / "docs" / "settings.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def with_settings_table(page: str) -> str:
    """Return a page's text with the current table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{settings_table()}{END}{after}"


def main() -> None:
    """Write the table."""
    page = SETTINGS_PAGE.read_text("utf-8")
    SETTINGS_PAGE.write_text(with_settings_table(page), "utf-8")


if __name__ == "__main__":
    main()
