"""A bar on a terminal, lines in a log."""

import logging
import os
import pty
import subprocess
import sys
import termios

import pytest

from cloome.download import progress
from cloome.download.progress import Progress


def test_a_log_gets_a_line_now_and_then(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    with Progress("thing", 4_000_000, 1_000_000) as shown:
        shown.add(500_000)
    assert caplog.messages == ["thing: 1.5 of 4.0 MB"]


def test_lines_are_far_apart(caplog):
    caplog.set_level(logging.INFO)
    with Progress("thing", None) as shown:
        for _ in range(1000):
            shown.add(1000)
    assert caplog.messages == []


@pytest.mark.parametrize("total", [4_000_000, None])
def test_a_terminal_gets_a_bar(total):
    program = f"from cloome.download.progress import *\nwith Progress('thing', {total}, 10) as p: p.add(3_999_990)"
    own, terminal = pty.openpty()
    termios.tcsetwinsize(own, (24, 80))
    subprocess.run([sys.executable, "-c", program], stderr=terminal, check=True)
    shown = os.read(own, 10_000).decode()
    os.close(own)
    os.close(terminal)
    assert "thing: " in shown
    assert "4.00M" in shown
