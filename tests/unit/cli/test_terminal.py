"""What a terminal is shown of names that others chose."""

from __future__ import annotations

import pytest

from countenance.cli import terminal


def test_a_files_name_gives_the_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\x1b]0;title\x07.jpg", "a\x9b2Jb", r"\[link=x]y[/link]", "[red]", "Zoë.jpg", "\udcff.jpg"]
    terminal.print_table(("photo",), [(name,) for name in names])
    shown = capsys.readouterr().out
    assert not any(ord(each) < 32 and each != "\n" for each in shown)
    assert "\x9b" not in shown
    for name in (r"\[link=x]y[/link]", "[red]", "Zoë.jpg"):
        assert name in shown
