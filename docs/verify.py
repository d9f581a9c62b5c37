#!/usr/bin/env python3
"""Check an export of Curfew's audit log without trusting Curfew.

    verify.py log.jsonl                         a whole log, from its first event
    verify.py < log.jsonl                       the same from standard input
    verify.py --from 41:HASH rest.jsonl         events after a checkpoint that you kept
    tail -n +42 log.jsonl | verify.py --from 41:HASH
                                                does a whole log still contain that checkpoint?
    verify.py --events-only filtered.jsonl      a filtered export (its name says so): each event by itself

Prints `ok: N events, head SEQ HASH` and exits 0, or names the first bad event and exits 1 (2: wrong use).
Keep the head that it prints: a log that was rewritten from its beginning still looks sound by itself,
and only an earlier head, kept elsewhere, gives it away. Of a filtered export, nobody can see which events were left out.

What is checked, line by line:
  * the line is one JSON object, written exactly as RFC 8785 (canonical JSON) writes it, and ends with \\n;
  * `seq` counts up by one, from 1 or from the checkpoint;
  * `prev_hash` is the `hash` of the event before it (64 zeros before the first);
  * `hash` is the SHA-256 of the canonical JSON of the event without its `hash`;
  * the event has its eleven fields and no other; keys are ASCII, without `$` in front; nothing is nested deeper than 127;
  * the first event of a log is `log.started`, format 1.
With --events-only `seq` only has to grow, and `prev_hash` to fit where two events are neighbours.

Standard library only (Python 3.8 or later). Reads one line at a time, so memory does not grow with the log.
"""

import argparse
import hashlib
import json
import re
import sys

FIELDS = {"seq", "id", "time", "type", "actor", "request_id", "grant_id", "target", "data", "prev_hash", "hash"}
BIGGEST = 2**53 - 1  # beyond it, JSON readers disagree about which integer is meant
DEEPEST = 127  # arrays and objects inside each other, the event itself included; so that no reader runs out of stack
LONGEST_LINE = 16 * 1024 * 1024
BEFORE_THE_FIRST = "0" * 64

# The characters that RFC 8785 escapes inside a string, and how. Everything else stands for itself.
ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)}
ESCAPES.update({ord(char): escape for char, escape in zip('\b\t\n\f\r"\\', (r"\b", r"\t", r"\n", r"\f", r"\r", r"\"", r"\\"))})


class Bad(ValueError):
    """Why an event is not what it should be."""


def canonical(value):
    """The RFC 8785 text of a value. Events hold no floats, so none are written here."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.translate(ESCAPES) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))  # by UTF-16 code units, as the RFC says
    return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"


def parse(text):
    """JSON, without what events never hold: floats, big integers, and two values under one key."""

    def integer(digits):
        if len(digits) > 17 or abs(int(digits)) > BIGGEST:
            raise Bad("an integer beyond 2^53-1")
        return int(digits)

    def no_float(number):
        raise Bad(f"a number that is not an integer: {number[:20]}")

    def no_duplicates(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            raise Bad("an object with the same key twice")
        return result

    try:
        return json.loads(
            text, parse_int=integer, parse_float=no_float, parse_constant=no_float, object_pairs_hook=no_duplicates
        )
    except json.JSONDecodeError as error:
        raise Bad(f"not JSON: {error.msg}") from None


def check_form(value, depth=1):
    """Only what every reader of JSON takes, and takes for the same."""
    if not isinstance(value, (dict, list)):
        return
    if depth > DEEPEST:
        raise Bad(f"nested deeper than {DEEPEST}")
    if isinstance(value, dict):
        for key in value:
            if not key.isascii():
                raise Bad(f"the key {key!a:.40} is not ASCII")
            if key.startswith("$"):  # some readers give such keys a meaning of their own
                raise Bad(f"the key {key!a:.40} begins with a dollar sign")
    for inner in value.values() if isinstance(value, dict) else value:
        check_form(inner, depth + 1)


def sound_event(line):
    """The event of one line of the export, if it is sound by itself."""
    if len(line) > LONGEST_LINE:
        raise Bad(f"longer than {LONGEST_LINE} bytes")
    if not line.endswith(b"\n"):
        raise Bad("the line does not end with a newline: the file is cut off")
    line = line[:-1]

    event = parse(line.decode("utf-8"))
    if not isinstance(event, dict):
        raise Bad("not a JSON object")
    check_form(event)
    if set(event) != FIELDS:
        raise Bad("missing or unknown fields: " + ", ".join(sorted(set(event) ^ FIELDS))[:200])
    if canonical(event).encode("utf-8") != line:
        raise Bad("not written as canonical JSON")
    content = {field: value for field, value in event.items() if field != "hash"}
    if event["hash"] != hashlib.sha256(canonical(content).encode("utf-8")).hexdigest():
        raise Bad("its hash is not the hash of its content")
    if type(event["seq"]) is not int:
        raise Bad(f"its seq is {event['seq']!r:.40}")
    return event


def check_event(line, seq, previous, gaps=False):
    """One line of the export, which must hold event `seq` (or, with gaps, a later one); gives back the event."""
    event = sound_event(line)
    if event["seq"] < seq or (event["seq"] > seq and not gaps):
        raise Bad(f"its seq is {event['seq']}")
    if event["seq"] == seq and event["prev_hash"] != previous:
        raise Bad("its prev_hash is not the hash of the event before it")
    written = event["data"].get("format") if isinstance(event["data"], dict) else None
    if event["seq"] == 1 and (event["type"] != "log.started" or type(written) is not int or written != 1):
        raise Bad("a log must begin with log.started, format 1")
    return event


def main():
    parser = argparse.ArgumentParser(description="Check an export of Curfew's audit log (JSON Lines).")
    parser.add_argument("file", nargs="?", help="the export; standard input if not given")
    parser.add_argument("--from", dest="checkpoint", metavar="SEQ:HASH", help="begin after this event")
    parser.add_argument("--events-only", action="store_true", help="of a filtered export: each event by itself")
    options = parser.parse_args()
    if options.events_only and options.checkpoint is not None:
        parser.error("--events-only goes with no checkpoint: a filtered export is no chain")

    seq, head = 0, BEFORE_THE_FIRST
    if options.checkpoint is not None:
        if not re.fullmatch(r"[1-9][0-9]{0,15}:[0-9a-f]{64}", options.checkpoint):
            parser.error("--from takes SEQ:HASH, a number from 1 of at most 16 digits and 64 lower-case hex digits")
        seq, head = int(options.checkpoint.split(":")[0]), options.checkpoint.split(":")[1]
    try:
        stream = open(options.file, "rb") if options.file else sys.stdin.buffer
    except OSError as error:
        parser.error(str(error))

    count = 0
    try:
        while line := stream.readline(LONGEST_LINE + 1):
            event = check_event(line, seq + 1, head, gaps=options.events_only)
            seq, head, count = event["seq"], event["hash"], count + 1
        if seq == 0 and not options.events_only:
            raise Bad("the file is empty")
    except (ValueError, RecursionError) as error:  # ValueError: Bad, and text that is not UTF-8
        why = error if isinstance(error, Bad) else f"not readable text ({type(error).__name__})"
        print(f"bad event at line {count + 1} (seq {seq + 1}): {why}")
        return 1
    if options.events_only:
        print(f"ok: {count} events, each sound by itself; events that were left out can't be seen")
    else:
        print(f"ok: {count} events, head {seq} {head}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
