"""Tests of docs/verify.py: what it must accept, and every way of tampering that it must name.

    python3 -m unittest discover -s .ci -p 'test_*.py'

The events here are built without the verifier's own code, so that the two can disagree.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

VERIFY = pathlib.Path(__file__).resolve().parent.parent / "docs" / "verify.py"
ZEROS = "0" * 64


def written(value):
    """Canonical JSON for values whose keys are ASCII (the standard library then writes what RFC 8785 writes)."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def event(seq, prev_hash, kind="request.created", data=None):
    return {
        "seq": seq,
        "id": f"01900000-0000-7000-8000-{seq:012d}",
        "time": f"2026-11-24T03:54:{seq % 60:02d}.000000Z",
        "type": "log.started" if seq == 1 else kind,
        "actor": {"kind": "system", "id": None, "email": None, "channel": None, "ip": None, "amr": None},
        "request_id": None,
        "grant_id": None,
        "target": None,
        "data": {"format": 1} if seq == 1 else ({"reason": f"Roll back release {seq} – naïve\tüber 🚀"} if data is None else data),
        "prev_hash": prev_hash,
    }


def sealed(body):
    """The event's line, hash included, and the hash."""
    digest = hashlib.sha256(written(body)).hexdigest()
    return written({**body, "hash": digest}) + b"\n", digest


def log(count, start=1, previous=ZEROS):
    lines = []
    for seq in range(start, start + count):
        line, previous = sealed(event(seq, previous))
        lines.append(line)
    return lines


def raw(seq, previous, data_text):
    """A line with a hash that fits, around a `data` that is given as text (and may be anything)."""
    body = written(event(seq, previous, data="DATA")).decode("utf-8")
    body = body.replace('"DATA"', data_text)
    digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    whole = body.replace(',"id":"0', f',"hash":"{digest}","id":"0')
    return whole.encode("utf-8", "surrogatepass") + b"\n", digest


def head(line):
    found = json.loads(line)
    return f"{found['seq']}:{found['hash']}"


def verify(content, *arguments):
    return subprocess.run(
        [sys.executable, str(VERIFY), *arguments], input=content, capture_output=True, timeout=60, check=False
    )


class VerifyTest(unittest.TestCase):
    def accepts(self, lines, *arguments):
        result = verify(b"".join(lines), *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""), result.stdout)
        return result.stdout.decode()

    def refuses(self, content, place, why, *arguments):
        result = verify(content if isinstance(content, bytes) else b"".join(content), *arguments)
        text = result.stdout.decode()
        self.assertEqual((result.returncode, result.stderr), (1, b""), text)
        self.assertTrue(text.startswith(f"bad event at {place}: "), text)
        self.assertIn(why, text)
        self.assertEqual(text.count("\n"), 1)

    def test_whole_log(self):
        lines = log(100)
        self.assertEqual(self.accepts(lines), f"ok: 100 events, head {head(lines[-1]).replace(':', ' ')}\n")

    def test_from_a_file(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(log(3)))
            file.flush()
            result = verify(b"", file.name)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_tampered_byte_anywhere(self):
        lines = log(3)
        original = b"".join(lines)
        for position in range(len(original)):
            tampered = bytearray(original)
            tampered[position] ^= 0x01
            line = original[:position].count(b"\n") + 1
            with self.subTest(position=position):
                # In this process: thousands of starts would take minutes.
                self.assertEqual(first_bad_line(bytes(tampered)), line)

    def test_tampered_reason(self):
        lines = log(5)
        lines[2] = lines[2].replace(b"Roll back", b"Roll bock")
        self.refuses(lines, "line 3 (seq 3)", "hash of its content")

    def test_tampered_and_hashed_again(self):
        lines = log(5)
        forged = event(3, json.loads(lines[1])["hash"], data={"reason": "Nothing to see here"})
        lines[2] = sealed(forged)[0]
        self.refuses(lines, "line 4 (seq 4)", "prev_hash")

    def test_rewritten_to_the_end_is_caught_by_a_checkpoint(self):
        kept = head(log(5)[2])
        forged = log(2)
        line, previous = sealed(event(3, json.loads(forged[1])["hash"], data={"reason": "Nothing to see here"}))
        forged += [line, *log(2, start=4, previous=previous)]
        self.accepts(forged)
        self.refuses(forged[3:], "line 1 (seq 4)", "prev_hash", "--from", kept)

    def test_dropped_line(self):
        lines = log(5)
        self.refuses(lines[:2] + lines[3:], "line 3 (seq 3)", "seq is 4")

    def test_dropped_first_line(self):
        self.refuses(log(5)[1:], "line 1 (seq 1)", "seq is 2")

    def test_dropped_last_lines_are_caught_by_the_head_that_is_printed(self):
        lines = log(5)
        self.assertNotEqual(self.accepts(lines[:4]), self.accepts(lines))

    def test_reordered_lines(self):
        lines = log(5)
        lines[2], lines[3] = lines[3], lines[2]
        self.refuses(lines, "line 3 (seq 3)", "seq is 4")

    def test_repeated_line(self):
        lines = log(3)
        self.refuses([*lines, lines[-1]], "line 4 (seq 4)", "seq is 3")

    def test_truncated_last_line(self):
        whole = b"".join(log(3))
        self.refuses(whole[:-1], "line 3 (seq 3)", "cut off")
        self.refuses(whole[:-40], "line 3 (seq 3)", "cut off")

    def test_empty_file(self):
        self.refuses(b"", "line 1 (seq 1)", "empty")

    def test_empty_line(self):
        self.refuses([*log(2), b"\n"], "line 3 (seq 3)", "not JSON")

    def test_nothing_after_a_checkpoint(self):
        kept = head(log(2)[1])
        self.assertEqual(self.accepts([], "--from", kept), f"ok: 0 events, head {kept.replace(':', ' ')}\n")

    def test_start_after_a_checkpoint(self):
        lines = log(10)
        self.assertIn("ok: 6 events, head 10 ", self.accepts(lines[4:], "--from", head(lines[3])))
        self.refuses(lines[5:], "line 1 (seq 5)", "seq is 6", "--from", head(lines[3]))
        self.refuses(lines[4:], "line 1 (seq 5)", "prev_hash", "--from", "4:" + "ab" * 32)
        self.refuses(lines, "line 1 (seq 5)", "seq is 1", "--from", head(lines[3]))

    def test_a_filtered_export_event_by_event(self):
        lines = log(8)
        for some in (lines, lines[3:5], [lines[1], lines[4], lines[5], lines[7]], lines[6:7], []):
            said = self.accepts(some, "--events-only")
            self.assertEqual(said, f"ok: {len(some)} events, each sound by itself; events that were left out can't be seen\n")
        self.refuses([lines[1], lines[4]], "line 1 (seq 1)", "seq is 2")
        self.refuses([lines[4], lines[1]], "line 2 (seq 6)", "seq is 2", "--events-only")
        self.refuses([lines[4], lines[4]], "line 2 (seq 6)", "seq is 5", "--events-only")
        self.refuses([lines[1], lines[4].replace(b"Roll", b"Rall")], "line 2 (seq 3)", "hash of its content", "--events-only")
        self.refuses([lines[1], lines[4][:-1]], "line 2 (seq 3)", "cut off", "--events-only")

    def test_neighbours_in_a_filtered_export_are_still_a_chain(self):
        lines = log(5)
        forged = sealed(event(4, "ab" * 32))[0]
        self.accepts([lines[1], forged], "--events-only")
        self.refuses([lines[2], forged], "line 2 (seq 4)", "prev_hash", "--events-only")
        self.refuses([sealed(event(1, ZEROS, data=1) | {"data": {}})[0]], "line 1 (seq 1)", "log.started", "--events-only")

    def test_wrong_use(self):
        for arguments in (["--from", "5"], ["--from", "5:XYZ"], ["--from", "0:" + ZEROS], ["--from", ""], ["/does/not/exist"], ["--what"],
                          ["--events-only", "--from", "5:" + ZEROS]):
            with self.subTest(arguments):
                self.assertEqual(verify(b"", *arguments).returncode, 2)

    def test_first_event_must_start_the_log(self):
        self.refuses([sealed({**event(1, ZEROS), "type": "request.created"})[0]], "line 1 (seq 1)", "log.started")
        self.refuses([sealed({**event(1, ZEROS), "data": {"format": 2}})[0]], "line 1 (seq 1)", "log.started")
        for data in (None, "1", {}, {"format": True}, {"format": "1"}):
            with self.subTest(data):
                self.refuses([sealed({**event(1, ZEROS), "data": data})[0]], "line 1 (seq 1)", "log.started")

    def test_first_prev_hash_is_zeros(self):
        self.refuses([sealed(event(1, "1" * 64))[0]], "line 1 (seq 1)", "prev_hash")

    def test_missing_and_unknown_fields(self):
        body = event(1, ZEROS)
        self.refuses([sealed({**body, "note": "x"})[0]], "line 1 (seq 1)", "note")
        del body["target"]
        self.refuses([sealed(body)[0]], "line 1 (seq 1)", "target")

    def refuses_data(self, text, why):
        lines = log(1)
        line, _ = raw(2, json.loads(lines[0])["hash"], text)
        self.refuses([*lines, line], "line 2 (seq 2)", why)

    def accepts_data(self, text):
        lines = log(1)
        line, _ = raw(2, json.loads(lines[0])["hash"], text)
        self.accepts([*lines, line])

    def test_duplicate_key(self):
        self.refuses_data('{"a":1,"a":2}', "same key twice")
        self.refuses_data('[{"b":{"a":1,"a":1}}]', "same key twice")

    def test_floats(self):
        for text in ("1.5", "1.0", "1e3", "-0.0", "NaN", "Infinity", "-Infinity", '{"a":[1e999]}'):
            with self.subTest(text):
                self.refuses_data(text, "not an integer")

    def test_integers(self):
        for text in ("0", "9007199254740991", "-9007199254740991"):
            with self.subTest(text):
                self.accepts_data(text)
        for text in ("9007199254740992", "-9007199254740992", "1" * 5000):
            with self.subTest(text[:20]):
                self.refuses_data(text, "beyond")
        self.refuses_data("-0", "canonical")

    def test_keys_are_ascii(self):
        self.refuses_data('{"ö":4}', "not ASCII")
        self.refuses_data('[{"a":{"\U0001f600":6}}]', "not ASCII")
        self.refuses([sealed({**event(1, ZEROS), "ö": "x"})[0]], "line 1 (seq 1)", "not ASCII")

    def test_keys_that_readers_keep_for_themselves(self):
        self.refuses_data('{"$serde_json::private::RawValue":"1"}', "dollar")

    def test_key_order(self):
        self.accepts_data('{"":1,"\\r":2,"1":3,"A":4,"a":5}')
        self.refuses_data('{"b":1,"a":2}', "canonical")

    def test_strings_as_rfc_8785_writes_them(self):
        self.accepts_data('"\\b\\t\\n\\f\\r\\u0000\\u001f\\"\\\\/\x7f\u2028\U0001f680"')
        for text in ('"\\u000a"', '"\\u001F"', '"\\/"', '"\\u0041"', '"\\ud83d\\ude80"', '"\\u00e9"'):
            with self.subTest(text):
                self.refuses_data(text, "canonical")

    def test_white_space_and_other_line_ends(self):
        self.refuses_data("[1, 2]", "canonical")
        lines = log(2)
        self.refuses([lines[0], lines[1][:-1] + b"\r\n"], "line 2 (seq 2)", "canonical")
        self.refuses([b"\xef\xbb\xbf" + lines[0]], "line 1 (seq 1)", "")

    def test_not_unicode(self):
        self.refuses_data('"\\ud800"', "not readable")
        lines = log(2)
        self.refuses([lines[0], lines[1].replace(b"Roll", b"Ro\xffl")], "line 2 (seq 2)", "not readable")
        self.refuses("".join(map(bytes.decode, lines)).encode("utf-16"), "line 1 (seq 1)", "")

    def test_not_an_object(self):
        for line in (b"[]\n", b"1\n", b"null\n", b'"x"\n'):
            with self.subTest(line):
                self.refuses(line, "line 1 (seq 1)", "not a JSON object")

    def test_deep_nesting(self):
        # The event itself is the first level. curfew's own verifier stops at the same one.
        self.accepts_data("[" * 126 + "]" * 126)
        self.accepts_data('{"a":' * 126 + "1" + "}" * 126)
        self.refuses_data("[" * 127 + "]" * 127, "deeper")
        self.refuses_data('{"a":' * 127 + "1" + "}" * 127, "deeper")
        self.refuses_data("[" * 900 + "]" * 900, "")
        self.refuses(b"[" * 200_000 + b"\n", "line 1 (seq 1)", "")

    def test_seq_of_another_type(self):
        for seq in (True, "1", None):
            with self.subTest(seq):
                self.refuses([sealed({**event(1, ZEROS), "seq": seq})[0]], "line 1 (seq 1)", "seq is")

    def test_one_endless_line(self):
        self.refuses(b"x" * (17 * 1024 * 1024), "line 1 (seq 1)", "longer than")


def first_bad_line(content):
    """The line that the verifier's own loop stops at, without starting a process."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("verify", VERIFY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    previous, seq = module.BEFORE_THE_FIRST, 0
    for line in content.split(b"\n")[:-1]:
        try:
            previous = module.check_event(line + b"\n", seq + 1, previous)["hash"]
        except (ValueError, RecursionError):
            return seq + 1
        seq += 1
    return seq + 1 if content and not content.endswith(b"\n") else None


if __name__ == "__main__":
    unittest.main()
