"""The log: one line per event, without secrets, set up once."""

import io
import logging
import re

from pydantic import SecretStr

from core.logging import StderrHandler, configure

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ \S+ .*")
logger = logging.getLogger("core.example")


def test_an_event_is_one_line_with_time_level_name_and_message(capsys):
    configure("INFO")
    logger.info("save sound=%s actor=%s", "freesound:1", "ada")
    (line,) = capsys.readouterr().err.splitlines()
    assert LINE.fullmatch(line)
    assert line.endswith("INFO core.example save sound=freesound:1 actor=ada")


def test_text_from_outside_cannot_break_a_line_or_steer_a_terminal(capsys):
    configure("INFO")
    logger.info("save actor=%s", "ada\n2026-01-01T00:00:00.000Z INFO core.cli forged\x1b[2J\u2028x")
    (line,) = capsys.readouterr().err.split("\n")[:-1]
    assert line.endswith(r"ada\n2026-01-01T00:00:00.000Z INFO core.cli forged\x1b[2J\u2028x")


def test_the_lines_of_a_traceback_cannot_be_taken_for_events(capsys):
    configure("INFO")
    try:
        raise ValueError("bad\n2026-01-01T00:00:00.000Z INFO core.cli forged")
    except ValueError:
        logger.exception("failed")
    first, *trace = capsys.readouterr().err.splitlines()
    assert LINE.fullmatch(first)
    assert any("ValueError" in line for line in trace)
    assert not any(LINE.match(line) for line in trace)


def test_secrets_are_blanked_out_wherever_they_come_up(capsys):
    configure("INFO", [SecretStr("s3cret-key")])
    logger.info("fetch url=%s", "https://example.org/?token=s3cret-key")
    try:
        raise ValueError("s3cret-key is wrong")
    except ValueError:
        logger.exception("failed key=%s", SecretStr("s3cret-key"))
    printed = capsys.readouterr().err
    assert "s3cret-key" not in printed
    assert "token=***" in printed


def test_the_level_holds_for_our_own_events_and_others_are_quiet(capsys):
    configure("DEBUG")
    logger.debug("mine")
    logging.getLogger("urllib3.connectionpool").info("theirs")
    logging.getLogger("urllib3.connectionpool").warning("their warning")
    printed = capsys.readouterr().err
    assert "mine" in printed
    assert "their warning" in printed
    assert "theirs" not in printed


def test_setting_up_twice_changes_the_level_and_repeats_no_line(capsys):
    configure("INFO", [SecretStr("first-secret")])
    configure("WARNING", [SecretStr("second-secret")])
    logger.info("not logged")
    logger.warning("first-secret second-secret")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("*** ***")
    handlers = logging.getLogger().handlers
    assert sum(isinstance(handler, StderrHandler) for handler in handlers) == 1


def test_the_log_follows_whatever_stands_in_for_stderr(monkeypatch):
    configure("INFO")
    for _ in range(2):
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        logger.info("event")
        assert stream.getvalue().endswith("event\n")
