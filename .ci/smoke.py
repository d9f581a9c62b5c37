#!/usr/bin/env python3
"""The main job, done over HTTP against a real `curfew demo`, with boto3 as the witness outside.

Why: the tests in the crate see Curfew from within. This script sees only what people, auditors and AWS see: pages, JSON,
the exported log, and what Identity Center (the sandbox) says about who has access. It never reads Curfew's database.

    .ci/smoke.py --binary target/debug/curfew             all steps, as a story (three to four minutes)
    .ci/smoke.py --binary target/debug/curfew --list
    .ci/smoke.py --binary target/debug/curfew --only "the main job" --keep

Needs Python 3.9 or later and boto3 (versions in .ci/requirements.txt). Starts its own demo on free ports with its own folder
under /tmp, with `--minute 2`, so that a granted minute lasts two seconds. Every wait has an end. A step that fails prints what it
was doing, the last answers and the end of the log; the others go on. The last line is `N passed, M failed`; exit status 1 if any failed.
"""

import argparse
import collections
import datetime
import glob
import http.client
import http.cookies
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

import boto3
import botocore.config

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
MINUTE = 2  # seconds that a granted minute lasts here
PAYMENTS_PROD, PAYMENTS_STAGING, DATA_PROD = "111111111111", "222222222222", "333333333333"
REASON = "Roll back the broken release of today"
SECRET = "do-not-record-me"  # in every reason that must be refused: it may not turn up in the log
READY_WITHIN, START_WITHIN, END_WITHIN, STOP_WITHIN = 90, 30, 20, 15  # seconds


class Failed(Exception):
    """What was expected, and what came instead."""


def check(condition, why):
    if not condition:
        raise Failed(why)


def wait_for(what, seconds, probe, every=0.2):
    """The first true answer of `probe`, or a failure that says what was waited for and what was last seen."""
    deadline, seen = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        seen = probe()
        if seen:
            return seen
        time.sleep(every)
    raise Failed(f"waited {seconds} s for {what}; last seen: {seen!r}")


def moment(text):
    """An RFC 3339 UTC time of the API, as a datetime."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)", text or "")
    check(found, f"not an RFC 3339 UTC time: {text!r}")
    whole = datetime.datetime.strptime(found[1] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    return whole + datetime.timedelta(seconds=float(found[2] or 0))


def seconds_between(earlier, later):
    return (moment(later) - moment(earlier)).total_seconds()


# ---------------------------------------------------------------------------------------------------------------------------
# People


class Answer:
    def __init__(self, what, status, headers, body):
        self.what, self.status, self.headers = what, status, headers
        self.text = body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.text)
        except ValueError:
            raise Failed(f"not JSON: {self}") from None

    def expect(self, *statuses):
        check(self.status in statuses, f"expected {' or '.join(map(str, statuses))}, got {self}")
        return self

    def __str__(self):
        place = f" → {self.headers['Location']}" if self.headers.get("Location") else ""
        return f"{self.what}: {self.status}{place} {self.text[:400]!r}"


class Person:
    """Somebody at a browser: a name, a cookie jar, and what they can do. Sends `Origin` as a browser would."""

    def __init__(self, world, name):
        self.world, self.name, self.email, self.cookies = world, name, f"{name}@example.com", {}

    def send(self, method, path, *, json_body=None, form=None, body=None, content_type=None, headers=None, origin=True):
        target = urllib.parse.urlsplit(self.world.url)
        if json_body is not None:
            body, content_type = json.dumps(json_body).encode(), content_type or "application/json"
        if form is not None:
            body, content_type = urllib.parse.urlencode(form).encode(), content_type or "application/x-www-form-urlencoded"
        all_headers = {"Host": target.netloc, "Content-Length": str(len(body or b""))}
        if content_type:
            all_headers["Content-Type"] = content_type
        if self.cookies:
            all_headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if origin:
            all_headers["Origin"] = self.world.url
        all_headers.update(headers or {})

        what = f"{self.name}: {method} {path[:120]}"
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in all_headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            # A server may refuse a huge body from its length alone and close; so look before sending one.
            if body and not (len(body) > 1_000_000 and select.select([connection.sock], [], [], 2)[0]):
                try:
                    connection.sock.sendall(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the answer may still be there to read
            response = connection.getresponse()
            answer = Answer(what, response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.world.heard(what, f"{what}: {error!r}")
            raise Failed(f"no answer to {what}: {error!r}") from None
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        self.world.heard(what, str(answer))
        return answer

    def get(self, path):
        return self.send("GET", path)

    def sign_in(self, assurance=None):
        form = {"email": self.email, **({"assurance": assurance} if assurance else {})}
        self.send("POST", "/login/demo", form=form).expect(303)
        check("sid" in self.cookies, "signing in sets the cookie sid")
        return self

    # The job, as JSON

    def asks_for(self, rule="production-admin", account=PAYMENTS_PROD, minutes=5, reason=REASON):
        answer = self.send("POST", "/api/v1/requests", json_body=ask(rule, account, minutes, reason)).expect(201)
        request = answer.json()
        self.world.opened.append((self, request["id"]))
        return request

    def sees(self, request_id):
        return self.get(f"/api/v1/requests/{request_id}").expect(200).json()

    def acts(self, action, request_id, comment="Looks right to me"):
        return self.send("POST", f"/api/v1/requests/{request_id}/{action}", json_body={"comment": comment})

    # The same by HTML form

    def posts(self, path, **form):
        return self.send("POST", path, form=form)


def ask(rule="production-admin", account=PAYMENTS_PROD, minutes=5, reason=REASON):
    return {"rule": rule, "account": account, "minutes": minutes, "reason": reason}


# ---------------------------------------------------------------------------------------------------------------------------
# The witness


class Outside:
    """Identity Center as AWS's own client sees it. Knows nothing of Curfew."""

    def __init__(self, endpoint):
        def client(service):
            return boto3.client(
                service,
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id="smoke",
                aws_secret_access_key="smoke",
                config=botocore.config.Config(
                    connect_timeout=5, read_timeout=10, proxies={}, retries={"mode": "standard", "total_max_attempts": 6}
                ),
            )

        self.sso, store = client("sso-admin"), client("identitystore")
        (instance,) = self.sso.list_instances()["Instances"]
        self.instance = instance["InstanceArn"]
        self.permission_sets = {}
        for page in self.sso.get_paginator("list_permission_sets").paginate(InstanceArn=self.instance):
            for arn in page["PermissionSets"]:
                found = self.sso.describe_permission_set(InstanceArn=self.instance, PermissionSetArn=arn)
                self.permission_sets[found["PermissionSet"]["Name"]] = arn
        self.people = {}
        for page in store.get_paginator("list_users").paginate(IdentityStoreId=instance["IdentityStoreId"]):
            for user in page["Users"]:
                for email in user.get("Emails", []):
                    self.people[email["Value"]] = user["UserId"]

    def has_access(self, email, permission_set, account):
        pages = self.sso.get_paginator("list_account_assignments").paginate(
            InstanceArn=self.instance, AccountId=account, PermissionSetArn=self.permission_sets[permission_set]
        )
        rows = [row for page in pages for row in page["AccountAssignments"]]  # all pages, before concluding anything
        return any(row["PrincipalType"] == "USER" and row["PrincipalId"] == self.people[email] for row in rows)


# ---------------------------------------------------------------------------------------------------------------------------
# The demo


class World:
    """One `curfew demo`, its folder, and everybody who takes part."""

    def __init__(self, binary):
        self.binary = binary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="curfew-smoke-", dir="/tmp"))
        self.folder.chmod(0o755)  # as root, the demo's Postgres runs as somebody else and must get through
        self.data_dir = self.folder / "demo"
        self.log = self.folder / "stderr.log"
        self.ports = free_port(), free_port()
        self.process = self.url = self.outside_ = None
        self.ever_ready = self.put_down = False
        self.answers, self.opened, self.people = collections.deque(maxlen=12), [], {}  # the last answers, for a failure's report
        self.families = {}  # pid → start time of every process that this demo ever had under it

    def environment(self):
        """Ours, without anything that would turn the demo or its AWS client elsewhere."""
        unwanted = ("AWS_", "CURFEW__", "DATABASE_URL", "MIGRATE_DATABASE_URL", "PG", "XDG_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted) and not k.lower().endswith("_proxy")}
        return {**kept, "NO_PROXY": "*"}

    def up(self):
        """The demo is running and ready."""
        if self.process and self.process.poll() is None:
            return self
        check(self.process is None or self.ever_ready, "the demo never became ready; see above")
        fell, self.put_down = self.process is not None and not self.put_down, False
        if fell:
            gone, self.process = self.process.returncode, None  # said once; the next step starts it again
            raise Failed(f"curfew stopped by itself, with exit status {gone}")
        said = self.folder / "stdout.log"
        listen, sandbox = (f"127.0.0.1:{port}" for port in self.ports)
        command = [self.binary, "demo", "--listen", listen, "--sandbox-listen", sandbox]
        command += ["--data-dir", str(self.data_dir), "--minute", str(MINUTE)]
        with open(said, "wb") as stdout, open(self.log, "ab") as stderr:
            stderr.write(b"--- smoke: " + " ".join(command).encode() + b"\n")
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env=self.environment(), cwd=self.folder, start_new_session=True,
            )

        def ready():
            found = re.search(rb"^Curfew is ready at (http://\S+?)/?$", said.read_bytes(), re.MULTILINE)
            check(found or self.process.poll() is None, f"curfew demo exited with {self.process.poll()} before it was ready")
            return found

        self.url = wait_for("the line `Curfew is ready at http://…`", READY_WITHIN, ready, 0.05)[1].decode()
        check(self.anybody().get("/readyz").status == 200, "/readyz is 200 once the demo says that it is ready")
        self.ever_ready, self.outside_ = True, None
        self.remember_family()
        return self

    def heard(self, what, answer):
        if self.answers and self.answers[-1][0] == what:
            self.answers.pop()  # of a poll, the last answer says enough
        self.answers.append((what, answer))

    def anybody(self):
        return Person(self, "nobody")

    def person(self, name):
        """That person, signed in."""
        self.up()
        if name not in self.people:
            self.people[name] = Person(self, name).sign_in()
        return self.people[name]

    @property
    def outside(self):
        self.up()
        if self.outside_ is None:
            self.outside_ = Outside(f"http://127.0.0.1:{self.ports[1]}")
        return self.outside_

    def remember_family(self):
        for pid in family(self.process.pid) | inhabitants(self.data_dir):
            self.families[pid] = start_time(pid)

    def left_behind(self):
        """Processes of the demo that still run, as `pid command`."""
        still = {pid for pid, since in self.families.items() if since and start_time(pid) == since}
        still |= inhabitants(self.data_dir)
        return [f"{pid} {command_line(pid)[:120]}" for pid in sorted(still) if state(pid) not in (None, "Z")]

    def kill(self):
        """kill -9 of curfew, with no chance to say goodbye."""
        self.remember_family()
        self.put_down = True
        self.process.kill()
        self.process.wait(10)

    def stop(self, how=signal.SIGTERM):
        """Asks the demo to stop; its exit status, and the seconds it took."""
        self.remember_family()
        begun, self.put_down = time.monotonic(), True
        self.process.send_signal(how)
        try:
            return self.process.wait(STOP_WITHIN), time.monotonic() - begun
        except subprocess.TimeoutExpired:
            raise Failed(f"still running {STOP_WITHIN} s after {how.name}") from None

    def tidy(self):
        """Ends what a step left open, so that the next one starts from nothing live."""
        opened, self.opened = self.opened, []
        if not opened:
            return
        self.up()
        for person, request_id in opened:
            seen = person.sees(request_id)
            if seen["status"] == "pending":
                person.acts("cancel", request_id, "Tidying up").expect(200)
            elif seen["grant"] and seen["grant"]["status"] not in ("ending", "ended", "failed"):
                person.acts("end", request_id, "Tidying up").expect(200, 409)
        for person, request_id in opened:
            wait_for("what the step opened to end", 45, lambda: word(person.sees(request_id)) in FINAL)

    def destroy(self, keep):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except Failed:
                self.process.kill()
                self.process.wait(10)
        deadline = time.monotonic() + 10
        while self.left_behind() and time.monotonic() < deadline:
            time.sleep(0.2)
        for line in self.left_behind():  # ours by folder and by birth; a test machine must not fill up with them
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except OSError:
                pass
        if keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stat_fields(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def state(pid):
    fields = stat_fields(pid)
    return fields and fields[0]


def start_time(pid):
    fields = stat_fields(pid)
    return fields and fields[19]


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def family(pid):
    """The process and everything below it."""
    parents = {each: int(fields[1]) for each in pids() if (fields := stat_fields(each))}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def inhabitants(folder):
    """Processes that name the folder on their command line or work inside it (Postgres's own children only do the latter)."""
    found = set()
    for pid in pids():
        try:
            place = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            place = ""
        if pid != os.getpid() and (str(folder) in command_line(pid) or (place + "/").startswith(f"{folder}/")):
            found.add(pid)
    return found


# ---------------------------------------------------------------------------------------------------------------------------
# Words and facts

FINAL = ("denied", "cancelled", "lapsed", "ended", "failed")
ORDER = ("pending", "approved", "scheduled", "provisioning", "active", "ending", "ended")


def word(seen):
    """The one word that says how far it is: the grant's, or the request's while there is none."""
    return seen["grant"]["status"] if seen["grant"] else seen["status"]


def watch(world, person, request, permission_set, account, until, seconds):
    """Follows a request until its word is `until`, and holds every word against what the witness sees.

    The word is read before and after each look outside; a look counts only for a word that stood on both sides of it.
    """
    deadline = time.monotonic() + seconds
    before = person.sees(request["id"])
    words = [word(before)]
    while True:
        there = world.outside.has_access(request["requester"]["email"], permission_set, account)
        after = person.sees(request["id"])
        was, now = word(before), word(after)
        if was == now == "active":
            check(there, f"the word says active, and Identity Center has no such assignment: {after['grant']}")
        if was in FINAL:
            check(not there, f"the word says {was}, and Identity Center still has the assignment: {before['grant']}")
        if now in ("pending", "approved", "scheduled"):
            check(not there, f"the word says {now}, and Identity Center already has an assignment")
        if now != words[-1]:
            words.append(now)
        if now in ORDER:
            check(sorted(words, key=ORDER.index) == words, f"words only go forward: {words}")
        check_times(after)
        if now == until:
            gone = now not in FINAL or not world.outside.has_access(request["requester"]["email"], permission_set, account)
            check(gone, f"the word says {now}, and Identity Center still has the assignment: {after['grant']}")
            return after
        check(now not in FINAL, f"expected to reach {until}, got {now}: {after}")
        check(time.monotonic() < deadline, f"waited {seconds} s for {until}; words so far: {words}; last: {after}")
        before = after
        time.sleep(0.25)


def check_times(seen):
    grant = seen["grant"]
    if not grant:
        return
    if grant["status"] in ("scheduled", "provisioning"):
        check(grant["starts_at"] is None, f"starts_at is null until confirmed: {grant}")
    if grant["status"] == "active":
        check(moment(grant["starts_at"]) < moment(grant["ends_at"]), f"a start before the end: {grant}")
    if grant["status"] != "failed":
        check((grant["ended_at"] is not None) == (grant["status"] == "ended"), f"ended_at once it is confirmed: {grant}")


def ended_on_time(seen, minutes):
    grant = seen["grant"]
    check(grant["end_reason"] == "due", f"ended because it was due: {grant}")
    lasted = seconds_between(grant["starts_at"], grant["ends_at"])
    check(abs(lasted - minutes * MINUTE) < 1, f"{minutes} minutes of {MINUTE} s each, from confirmation: {lasted} s in {grant}")
    late = seconds_between(grant["ends_at"], grant["ended_at"])
    check(0 <= late <= END_WITHIN, f"gone within {END_WITHIN} s of its end: {late} s in {grant}")
    check(seen["minutes"] == minutes, "minutes stay as asked")


def events(world):
    """The whole audit log, read page by page as the auditor."""
    found, after = [], 0
    while after is not None:
        page = world.person("auditor").get(f"/api/v1/audit?after_seq={after}&limit=500").expect(200).json()
        check(len(page["events"]) <= 500, "no page is longer than asked")
        found += page["events"]
        check(page["next_after_seq"] is None or page["next_after_seq"] > after, "pages go forward")
        after = page["next_after_seq"]
    check([event["seq"] for event in found] == list(range(1, len(found) + 1)), "seq has no gaps")
    return found


def types_of(world, request_id):
    return [event["type"] for event in events(world) if event["request_id"] == request_id]


def run(*command, stdin=None):
    return subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, timeout=60, check=False, text=True
    )


# ---------------------------------------------------------------------------------------------------------------------------
# The story

STEPS = []


def step(function):
    STEPS.append(function)
    return function


def name_of(function):
    return function.__name__.replace("_", " ")


@step
def the_demo_starts_and_says_it_is_ready(world):
    world.up()
    for path in ("/healthz", "/readyz"):
        world.anybody().get(path).expect(200)
    page = world.anybody().get("/login").expect(200)
    check("engineer@example.com" in page.text, "the sign-in page lists the people")


@step
def nobody_signed_out_gets_anything(world):
    world.up()
    stranger = world.anybody()
    stranger.get("/api/v1/requests").expect(401)
    stranger.send("POST", "/api/v1/requests", json_body=ask()).expect(401)
    for path in ("/", "/requests", "/requests/new", "/approvals"):
        answer = stranger.get(path).expect(302, 303, 401)
        check(answer.status == 401 or "/login" in answer.headers["Location"], f"leads to the sign-in page: {answer}")
    refused = stranger.send("POST", "/login/demo", form={"email": "mallory@example.com"})
    check(400 <= refused.status < 500 and "sid" not in stranger.cookies, f"an unknown e-mail is a failed sign-in: {refused}")


@step
def the_main_job_from_asking_to_gone(world):
    engineer, approver = world.person("engineer"), world.person("approver")
    request = engineer.asks_for(minutes=5)
    check(request["status"] == "pending" and request["grant"] is None, f"pending, with no grant yet: {request}")
    check(request["account_name"] == "payments-prod" and request["permission_set"] == "production-admin", f"{request}")
    check(request["reason"] == REASON and request["requester"]["email"] == engineer.email, f"{request}")
    watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "pending", 5)

    agreed = approver.acts("approve", request["id"], "Go ahead").expect(200).json()
    check(agreed["status"] == "approved" and agreed["grant"], f"approved, with a grant: {agreed}")
    (decision,) = agreed["decisions"]
    check(decision["verdict"] == "yes" and decision["comment"] == "Go ahead", f"{decision}")
    check(approver.email in json.dumps(decision["approver"]), f"the decision names its approver: {decision}")
    check(decision["assurance"] == "phishing_resistant", f"and how they had signed in: {decision}")

    active = watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "active", START_WITHIN)
    check(active["grant"]["sessions_until"], "says until when role sessions may outlive the grant")
    ended = watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "ended", 5 * MINUTE + END_WITHIN)
    ended_on_time(ended, 5)
    for _ in range(8):  # and it stays gone
        check(not world.outside.has_access(engineer.email, "production-admin", PAYMENTS_PROD), "gone means gone")
        time.sleep(0.25)
    happened = types_of(world, request["id"])
    wanted = ["request.created", "request.approved", "grant.activated", "grant.ended"]
    check([each for each in happened if each in wanted] == wanted, f"each of {wanted} once, in this order: {happened}")


@step
def nobody_approves_their_own_request_by_any_route(world):
    for name in ("engineer", "both"):  # `both` is in the approvers' group, and still may not
        person = world.person(name)
        request = person.asks_for()
        for answer in (
            person.acts("approve", request["id"]),
            person.posts(f"/requests/{request['id']}/approve", comment="I trust myself"),
            person.acts("deny", request["id"]),
            person.posts(f"/requests/{request['id']}/deny", comment="I do not trust myself"),
        ):
            answer.expect(403, 404, 409)
        seen = person.sees(request["id"])
        check(seen["status"] == "pending" and not seen["decisions"], f"nothing changed: {seen}")
        check(not world.outside.has_access(person.email, "production-admin", PAYMENTS_PROD), "and nobody got in")


@step
def a_stranger_may_not_even_know_of_a_request(world):
    request = world.person("engineer").asks_for()
    stranger = world.person("engineer2")
    stranger.get(f"/api/v1/requests/{request['id']}").expect(404)
    stranger.get(f"/requests/{request['id']}").expect(404)
    for action in ("approve", "deny", "cancel", "end"):
        stranger.acts(action, request["id"]).expect(404)
        stranger.posts(f"/requests/{request['id']}/{action}", comment="Let me").expect(404)
    check(request["id"] not in stranger.get("/api/v1/requests").expect(200).text, "nor see it in a list")
    check(world.person("engineer").sees(request["id"])["status"] == "pending", "nothing changed")


@step
def the_same_job_by_html_forms(world):
    engineer, approver = world.person("engineer"), world.person("approver")
    engineer.get("/requests/new").expect(200)
    reason = "Fix <b>the</b> \"queue\" & restart"
    sent = engineer.posts("/requests", rule="production-admin", account=PAYMENTS_PROD, minutes="20", reason=reason, ticket="")
    place = urllib.parse.urlsplit(sent.expect(303).headers["Location"]).path
    check(re.fullmatch(r"/requests/[0-9a-f-]{36}", place), f"leads to the request: {sent}")
    request = engineer.sees(place.rsplit("/", 1)[1])
    world.opened.append((engineer, request["id"]))
    check(request["reason"] == reason and request["minutes"] == 20 and request["ticket"] is None, f"{request}")

    page = approver.get(place).expect(200)
    check("<b>the</b>" not in page.text and "payments-prod" in page.text, "the page shows the request, with its text escaped")
    check(place in approver.get("/approvals").expect(200).text, "it waits on the approvals page")
    approver.posts(f"{place}/approve", comment="Fine by me").expect(303)
    watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "active", START_WITHIN)
    check("active" in engineer.get(place).expect(200).text.lower(), "the page says active")
    engineer.get("/").expect(200)

    approver.posts(f"{place}/end", comment="Done sooner").expect(303)
    ended = watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "ended", END_WITHIN)
    check(ended["grant"]["end_reason"] == "approver", f"ended early by the approver: {ended['grant']}")
    check("ended" in engineer.get(place).expect(200).text.lower(), "the page says ended")


@step
def a_form_with_an_error_comes_back_with_its_input(world):
    engineer = world.person("engineer")
    kept = "A reason that is long enough to keep"
    answer = engineer.posts("/requests", rule="production-admin", account=PAYMENTS_PROD, minutes="61", reason=kept, ticket="")
    check(kept in answer.expect(422).text, "the input is kept")


@step
def the_sandbox_tells_what_happened_in_it_and_can_be_made_to_fail(world):
    engineer = world.person("engineer")
    request = engineer.asks_for("staging-admin", PAYMENTS_STAGING, minutes=30)
    watch(world, engineer, request, "staging-admin", PAYMENTS_STAGING, "active", START_WITHIN)
    rows = sandbox(world, "GET", "assignments")["assignments"]
    (row,) = [row for row in rows if row["account_id"] == PAYMENTS_STAGING and row["principal"] == engineer.email]
    check(re.fullmatch("AWSReservedSSO_staging-admin_[0-9a-f]{16}", row["role"]), f"the role of the assignment: {row}")
    sandbox(world, "POST", "faults", {"operation": "DeleteAccountAssignment", "fault": "throttle"})
    engineer.acts("end", request["id"]).expect(200)
    watch(world, engineer, request, "staging-admin", PAYMENTS_STAGING, "ended", END_WITHIN)
    deletes = [call for call in sandbox(world, "GET", "calls")["calls"] if call["operation"] == "DeleteAccountAssignment"]
    check("ThrottlingException" in [call["outcome"] for call in deletes[-2:]], f"the end was throttled once: {deletes[-3:]}")
    sandbox(world, "GET", "assignments", page="http://example.com", expected=403)


def sandbox(world, method, path, body=None, page=None, expected=200):
    """The sandbox's control API; `page` is a web page on whose behalf a browser would ask."""
    connection = http.client.HTTPConnection("127.0.0.1", world.ports[1], timeout=20)
    try:
        headers = {"Origin": page} if page else {}
        connection.request(method, f"/_sandbox/{path}", body and json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    check(response.status == expected, f"{method} /_sandbox/{path}: {response.status} {text[:400]!r}")
    return json.loads(text)


@step
def staging_needs_no_approver_and_says_so(world):
    engineer = world.person("engineer")
    request = engineer.asks_for("staging-admin", PAYMENTS_STAGING, minutes=30)
    active = watch(world, engineer, request, "staging-admin", PAYMENTS_STAGING, "active", START_WITHIN)
    check(active["decisions"] == [] and active["status"] == "approved", f"approved with no decision: {active}")
    engineer.acts("end", request["id"], "Done").expect(200)
    ended = watch(world, engineer, request, "staging-admin", PAYMENTS_STAGING, "ended", END_WITHIN)
    check(ended["grant"]["end_reason"] == "requester", f"ended early by the requester: {ended['grant']}")


@step
def a_no_and_a_change_of_mind_give_nothing(world):
    engineer, approver = world.person("engineer"), world.person("approver")
    request = engineer.asks_for()
    denied = approver.acts("deny", request["id"], "Not during the freeze").expect(200).json()
    check(denied["status"] == "denied" and denied["grant"] is None, f"{denied}")
    request = engineer.asks_for()  # a denied request is not in the way of the next
    check(engineer.acts("cancel", request["id"]).expect(200).json()["status"] == "cancelled", "cancelled")
    approver.acts("approve", request["id"]).expect(409)
    for _ in range(6):
        check(not world.outside.has_access(engineer.email, "production-admin", PAYMENTS_PROD), "nobody got in")
        time.sleep(0.5)


@step
def nothing_is_decided_twice(world):
    engineer, approver, second = (world.person(name) for name in ("engineer", "approver", "approver2"))
    request = engineer.asks_for(minutes=20)
    approver.acts("approve", request["id"]).expect(200)
    for person in (approver, second):
        for action in ("approve", "deny"):
            person.acts(action, request["id"]).expect(409)
            person.posts(f"/requests/{request['id']}/{action}", comment="Again").expect(409)
    check(len(engineer.sees(request["id"])["decisions"]) == 1, "one decision")
    check(types_of(world, request["id"]).count("request.approved") == 1, "one event")


@step
def a_second_request_for_the_same_is_refused_until_the_first_is_over(world):
    engineer = world.person("engineer")
    request = engineer.asks_for()
    answer = engineer.send("POST", "/api/v1/requests", json_body=ask()).expect(409)
    check(re.search(r"\d{4}-\d\d-\d\d|\d\d:\d\d|minute", answer.text), f"says until when: {answer}")
    engineer.posts("/requests", **{**ask(), "minutes": "5", "ticket": ""}).expect(409)
    engineer.asks_for(account=DATA_PROD)  # another account is another matter
    world.person("approver").acts("approve", request["id"]).expect(200)
    wait_for("active", START_WITHIN, lambda: word(engineer.sees(request["id"])) == "active")
    engineer.send("POST", "/api/v1/requests", json_body=ask()).expect(409)


@step
def a_weak_sign_in_can_neither_ask_nor_agree(world):
    world.up()
    weak = Person(world, "engineer").sign_in(assurance="mfa")
    weak.send("POST", "/api/v1/requests", json_body=ask()).expect(403, 422)
    request = world.person("engineer").asks_for()
    Person(world, "approver").sign_in(assurance="mfa").acts("approve", request["id"]).expect(403, 409, 422)
    check(world.person("engineer").sees(request["id"])["status"] == "pending", "nothing changed")


def bad_asks():
    """(what is wrong, the body, the statuses that are right): sent as JSON, and as a form where a form can say it."""
    for minutes in (0, -1, 61, 10**9, 10**30, "ten", "", None, 1.5, True, [5], {"a": 1}):
        yield f"minutes {minutes!r}", ask(minutes=minutes), (400, 422)
    for what, reason in {
        "empty": "",
        "blank": " " * 40,
        "too short": "short",
        "with NUL": f"{SECRET}\0 and more text",
        "with U+202E": f"{SECRET} \u202e and more text",
        "with U+200B": f"{SECRET} \u200b and more text",
        "with U+0007": f"{SECRET} \u0007 and more text",
    }.items():
        yield f"reason {what}", ask(reason=reason), (400, 422)
    yield "reason of 100 kB", ask(reason=f"{SECRET} " * 6000), (400, 413, 422)
    for reason in (None, 7, ["x"]):
        yield f"reason {reason!r}", ask(reason=reason), (400, 422)
    yield "an unknown rule", ask(rule="no-such-rule"), (400, 404, 422)
    yield "an unknown account", ask(account="123456789012"), (400, 403, 404, 422)
    yield "an account that is no account", ask(account="../../etc/passwd"), (400, 403, 404, 422)
    yield "an account outside the rule", ask(account=PAYMENTS_STAGING), (400, 403, 404, 422)
    yield "the management account", ask(account="999999999999"), (400, 403, 404, 422)
    for key in ("rule", "account", "minutes", "reason"):
        yield f"no {key}", {name: value for name, value in ask().items() if name != key}, (400, 422)


@step
def bad_input_is_refused_clearly_and_loses_nothing(world):
    engineer, auditor = world.person("engineer"), world.person("auditor")
    created = sum(event["type"] == "request.created" for event in events(world))
    wrong = []

    def refuse(what, answer, statuses):
        if answer.status not in statuses:
            wrong.append(f"{what}: expected {' or '.join(map(str, statuses))}, got {answer}")
        elif not answer.text.strip() and answer.status != 405:
            wrong.append(f"{what}: a refusal without a word: {answer}")
        code_point = re.search(r"with (U\+[0-9A-F]{4})", what)
        if code_point and code_point[1].lower() not in answer.text.lower():
            wrong.append(f"{what}: the refusal does not name {code_point[1]}: {answer}")

    def api(what, statuses, path="/api/v1/requests", method="POST", person=engineer, **send):
        refuse(what, person.send(method, path, **send), statuses)

    for what, body, statuses in bad_asks():
        api(f"JSON, {what}", statuses, json_body=body)
        if all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in body.values()):
            refuse(f"form, {what}", engineer.posts("/requests", **body), statuses)

    good, form = json.dumps(ask()).encode(), urllib.parse.urlencode(ask()).encode()
    json_type, form_type = "application/json", "application/x-www-form-urlencoded"
    for what, body, content_type, statuses in (
        ("JSON that is not UTF-8", good.replace(b"Roll", b"Ro\xff\xfell"), json_type, (400, 422)),
        ("JSON that is UTF-16", json.dumps(ask()).encode("utf-16"), json_type, (400, 422)),
        ("JSON cut off", good[:-5], json_type, (400, 422)),
        ("no body", b"", json_type, (400, 422)),
        ("a JSON list", b"[]", json_type, (400, 422)),
        ("a lone surrogate", good.replace(b"Roll", b"\\ud800"), json_type, (400, 422)),
        ("JSON nested deeply", b"[" * 100_000, json_type, (400, 413, 422)),
        ("5 MB of JSON", json.dumps(ask(reason="x" * 5_000_000)).encode(), json_type, (413,)),
        ("JSON called text", good, "text/plain", (400, 415)),
        ("JSON called XML", good, "application/xml", (400, 415)),
        ("JSON with no type", good, None, (400, 415)),
        ("a form where JSON belongs", form, form_type, (400, 415)),
    ):
        api(what, statuses, body=body, content_type=content_type)
    for what, body, content_type, statuses in (
        ("form that is not UTF-8", form.replace(b"Roll", b"Ro%FF%FEll"), form_type, (400, 422)),
        ("form with raw bytes that are not UTF-8", form.replace(b"Roll", b"Ro\xff\xfell"), form_type, (400, 422)),
        ("5 MB of form", form + b"x" * 5_000_000, form_type, (413,)),
        ("JSON where a form belongs", good, json_type, (400, 415, 422)),
        ("multipart where a form belongs", b"--x--\r\n", "multipart/form-data; boundary=x", (400, 415, 422)),
        ("a form with no type", form, None, (400, 415, 422)),
    ):
        api(what, statuses, path="/requests", body=body, content_type=content_type)

    missing = "01900000-0000-7000-8000-000000000000"
    for bad in (missing, "not-a-uuid", "1", "%00", "..%2f..%2fetc%2fpasswd", missing + "0", "%F0%9F%9A%80"):
        api(f"id {bad}, JSON", (400, 404), path=f"/api/v1/requests/{bad}", method="GET")
        api(f"id {bad}, page", (400, 404), path=f"/requests/{bad}", method="GET")
        for action in ("approve", "deny", "cancel", "end"):
            api(f"{action} id {bad}, JSON", (400, 404), path=f"/api/v1/requests/{bad}/{action}", json_body={"comment": "x"})
            api(f"{action} id {bad}, form", (400, 404), path=f"/requests/{bad}/{action}", form={"comment": "x"})

    request = engineer.asks_for()
    own = f"/requests/{request['id']}"
    for what, headers in {
        "another site's Origin": {"Origin": "http://evil.example"},
        "Origin null": {"Origin": "null"},
        "Origin of another port": {"Origin": "http://127.0.0.1:1"},
        "no Origin and no Sec-Fetch-Site": {},
        "Sec-Fetch-Site cross-site": {"Sec-Fetch-Site": "cross-site"},
        "Sec-Fetch-Site same-site": {"Sec-Fetch-Site": "same-site"},
        "Sec-Fetch-Site none": {"Sec-Fetch-Site": "none"},
        "cross-site under our own Origin": {"Origin": world.url, "Sec-Fetch-Site": "cross-site"},
    }.items():
        send = {"headers": headers, "origin": False}
        api(f"{what}, JSON", (403,), json_body=ask(account=DATA_PROD), **send)
        api(f"{what}, form", (403,), path="/requests", form=ask(account=DATA_PROD), **send)
        api(f"{what}, cancel", (403,), path=f"{own}/cancel", form={"comment": "x"}, **send)
        api(f"{what}, sign-out", (403,), path="/logout", form={}, **send)
    check(engineer.sees(request["id"])["status"] == "pending", "and the request did not notice")
    same_origin = {"headers": {"Sec-Fetch-Site": "same-origin"}, "origin": False}
    engineer.send("POST", f"{own}/cancel", form={"comment": "x"}, **same_origin).expect(303)

    request = engineer.asks_for()
    approve = f"/api/v1/requests/{request['id']}/approve"
    for what, comment in {"NUL": "a\0b", "U+202E": "a\u202eb", "100 kB": "x" * 100_000}.items():
        answer = world.person("approver").send("POST", approve, json_body={"comment": comment})
        refuse(f"a comment with {what}", answer, (400, 413, 422))
    check(engineer.sees(request["id"])["status"] == "pending", "and nothing was decided")
    world.tidy()

    for path in ("/api/v1/audit", "/audit", "/audit/export?format=jsonl"):
        api(f"{path} for somebody who is no auditor", (403, 404), path=path, method="GET")
    for query in ("after_seq=x", "after_seq=-1", "limit=ten"):
        api(f"audit?{query}", (400, 422), path=f"/api/v1/audit?{query}", method="GET", person=auditor)
    api("an unknown export format", (400, 404, 422), path="/audit/export?format=exe", method="GET", person=auditor)
    api("a method that is not there", (405,), path="/api/v1/requests", method="DELETE")
    api("a path that is not there", (404,), path="/api/v1/no-such-thing", method="GET")

    check(not wrong, f"{len(wrong)} wrong answers to bad input:\n      " + "\n      ".join(wrong))
    now = sum(event["type"] == "request.created" for event in events(world))
    check(now == created + 2, f"only the two good requests were made: {now - created}")
    world.anybody().get("/readyz").expect(200)
    check(engineer.asks_for()["status"] == "pending", "and a good request still works")


POLICY = """
[[rule]]
name = "production-admin"
description = "Administrator in a production account"
permission_set = "production-admin"
accounts = [{ tag = "env=prod" }]
requesters = ["engineers"]
approvers = ["production-approvers"]
approvals = 1
max_minutes = 60
pending_minutes = 240
reason_min_chars = 10
assurance = "phishing_resistant"
"""


@step
def a_bad_policy_file_is_refused_with_the_reason(world):
    file = world.folder / "policy.toml"
    for what, text, status, named in (
        ("the good one", POLICY, 0, ""),
        ("an unknown key", POLICY + "colour = 1\n", 1, "colour"),
        ("a key of a later version", POLICY + "stages = []\n", 1, "stages"),
        ("a group on both sides", POLICY.replace('["production-approvers"]', '["engineers"]'), 1, "engineers"),
        ("no approvers, but approvals", POLICY.replace('["production-approvers"]', "[]"), 1, ""),
        ("an unknown assurance", POLICY.replace("phishing_resistant", "very"), 1, "assurance"),
        ("not TOML", "[[rule", 1, ""),
        ("not UTF-8", None, 1, ""),
    ):
        file.write_bytes(b"\xff\xfe" if text is None else text.encode())
        result = run(world.binary, "policy", "check", file)
        said = result.stdout + result.stderr
        check(result.returncode == status and named in said, f"{what}: exit status {result.returncode}, said {said[-600:]!r}")
    check(run(world.binary, "policy", "check", world.folder / "nowhere.toml").returncode in (1, 2), "no such file")


@step
def commands_explain_themselves(world):
    for command in ([], ["demo"], ["sandbox"], ["policy", "check"], ["audit", "verify"]):
        result = run(world.binary, *command, "--help")
        check(result.returncode == 0 and result.stdout.strip(), f"curfew {' '.join(command)} --help: {result}")
    for command in (["nonsense"], ["demo", "--minute", "0"], ["demo", "--minute", "1.5"], ["audit", "verify", "--nonsense"]):
        result = run(world.binary, *command)
        check(result.returncode == 2 and result.stderr.strip(), f"curfew {' '.join(command)} is wrong use: {result}")


@step
def kill_9_while_active_and_it_still_ends_on_time(world):
    engineer, before, first = start_and_kill(world, minutes=15)
    world.up()
    after = engineer.sees(before["id"])
    check(after["grant"]["ends_at"] == before["grant"]["ends_at"], f"the end did not move: {before} {after}")
    left = max(0.0, 15 * MINUTE - 2)
    ended = watch(world, engineer, before, "production-admin", PAYMENTS_PROD, "ended", left + END_WITHIN)
    ended_on_time(ended, 15)
    history_is_intact(world, before, ended, first)


@step
def an_end_that_falls_due_while_everything_is_dead_comes_right_after_the_start(world):
    engineer, before, first = start_and_kill(world, minutes=3)
    time.sleep(3 * MINUTE + 1)
    world.up()
    begun = time.monotonic()
    ended = watch(world, engineer, before, "production-admin", PAYMENTS_PROD, "ended", END_WITHIN)
    check(ended["grant"]["end_reason"] == "due", f"{ended['grant']}")
    check(time.monotonic() - begun <= END_WITHIN, "soon after the start")
    history_is_intact(world, before, ended, first)


def start_and_kill(world, minutes):
    """A grant that is active when curfew is killed: who has it, how it looked, and the log up to then."""
    engineer = world.person("engineer")
    request = engineer.asks_for(minutes=minutes)
    world.person("approver").acts("approve", request["id"], "Go ahead").expect(200)
    active = watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "active", START_WITHIN)
    log = events(world)
    world.kill()
    return engineer, active, log


def history_is_intact(world, before, after, log):
    for key in ("id", "rule", "account_id", "minutes", "reason", "requester", "created_at", "decisions"):
        check(before[key] == after[key], f"{key} is as before the kill: {before[key]!r} {after[key]!r}")
    check(before["grant"]["starts_at"] == after["grant"]["starts_at"], "so is the start")
    now = events(world)
    check(now[: len(log)] == log, "every event from before the kill is still there, unchanged")
    happened = [event["type"] for event in now if event["request_id"] == before["id"]]
    for once in ("request.created", "request.approved", "grant.activated", "grant.ended"):
        check(happened.count(once) == 1, f"{once} once: {happened}")


@step
def postgres_is_away_for_ten_seconds_and_nothing_is_lost(world):
    engineer = world.person("engineer")
    request = engineer.asks_for(minutes=8)
    world.person("approver").acts("approve", request["id"], "Go ahead").expect(200)
    watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "active", START_WITHIN)
    database = inhabitants(world.data_dir) - {world.process.pid}
    database = {pid for pid in database if "postgres" in command_line(pid) and state(pid) != "Z"}
    check(database, "the demo's Postgres works inside its data folder")
    try:
        for pid in database:
            signal_quietly(pid, signal.SIGSTOP)
        begun = time.monotonic()
        while time.monotonic() - begun < 10:
            check(world.process.poll() is None, "curfew goes on without its database")
            time.sleep(0.5)
    finally:
        for pid in database:
            signal_quietly(pid, signal.SIGCONT)
    wait_for("/readyz to be 200 again", 30, lambda: status_of(world, "/readyz") == 200)
    ended = watch(world, engineer, request, "production-admin", PAYMENTS_PROD, "ended", 8 * MINUTE + END_WITHIN)
    check(ended["grant"]["end_reason"] == "due", f"{ended['grant']}")
    check(types_of(world, request["id"]).count("grant.ended") == 1, "ended once")


def signal_quietly(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def status_of(world, path):
    try:
        return world.anybody().get(path).status
    except Failed:
        return None


@step
def anyone_can_verify_the_audit_export(world):
    request = world.person("engineer").asks_for("staging-admin", PAYMENTS_STAGING, minutes=1)  # so that there is something in it
    watch(world, world.person("engineer"), request, "staging-admin", PAYMENTS_STAGING, "ended", START_WITHIN + END_WITHIN)
    answer = world.person("auditor").get("/audit/export?format=jsonl").expect(200)
    check(SECRET not in answer.text, "refused text is nowhere in the log")
    lines = answer.text.encode().splitlines(keepends=True)
    check(len(lines) > 8, f"a log of some length: {len(lines)} lines")
    log = [json.loads(line) for line in lines]
    types = {event["type"] for event in log}
    for wanted in ("log.started", "session.started", "request.created", "grant.activated", "assignment.delete_confirmed", "grant.ended"):
        check(wanted in types, f"{wanted} is in the log: {sorted(types)}")
    check([json.dumps(event, sort_keys=True) for event in log[:50]] == [json.dumps(event, sort_keys=True) for event in events(world)[:50]],
          "the export and the API tell the same events")

    def both(what, content, sound):
        file = world.folder / "export.jsonl"
        file.write_bytes(content)
        for command in ([sys.executable, CHECKOUT / "docs" / "verify.py", file], [world.binary, "audit", "verify", file]):
            result = run(*command)
            said = result.stdout + result.stderr
            check(result.returncode == (0 if sound else 1), f"{what}: {command[0]} exits {result.returncode}, saying {said[-400:]!r}")
            check(sound or said.strip(), f"{what}: {command[0]} refuses without a word")

    middle = len(lines) // 2
    both("the export as it came", b"".join(lines), sound=True)
    both("one byte changed", b"".join([*lines[:middle], lines[middle].replace(b'"time":"2', b'"time":"3'), *lines[middle + 1:]]), sound=False)
    both("one line dropped", b"".join(lines[:middle] + lines[middle + 1:]), sound=False)
    both("two lines swapped", b"".join([*lines[:middle], lines[middle + 1], lines[middle], *lines[middle + 2:]]), sound=False)
    both("the last line cut off", b"".join(lines)[:-10], sound=False)
    checkpoint = f"{log[middle]['seq']}:{log[middle]['hash']}"
    file = world.folder / "rest.jsonl"
    file.write_bytes(b"".join(lines[middle + 1:]))
    result = run(sys.executable, CHECKOUT / "docs" / "verify.py", "--from", checkpoint, file)
    check(result.returncode == 0, f"the rest after a checkpoint: {result.stdout}{result.stderr}")


@step
def signing_out_ends_the_session(world):
    world.up()
    person = Person(world, "engineer2").sign_in()
    stolen = dict(person.cookies)
    person.posts("/logout").expect(303)
    person.cookies = stolen
    person.get("/api/v1/requests").expect(401)


@step
def sigterm_stops_everything_and_the_next_start_picks_up(world):
    engineer = world.person("engineer")
    request = engineer.asks_for()
    idle = socket.create_connection(("127.0.0.1", world.ports[0]), timeout=5)  # a browser that keeps its connection open
    for how in (signal.SIGTERM, signal.SIGINT):
        status, took = world.stop(how)
        check(status == 0, f"exit status 0 after {how.name}: {status}")
        deadline = time.monotonic() + max(0.5, STOP_WITHIN - took)
        while world.left_behind() and time.monotonic() < deadline:
            time.sleep(0.1)
        check(not world.left_behind(), f"nothing is left behind after {how.name}: {world.left_behind()}")
        check(not glob.glob(f"{world.data_dir}/**/postmaster.pid", recursive=True), "and Postgres had shut down in order")
        world.up()
        check(engineer.sees(request["id"])["status"] == "pending", "the next start picks up where it was, sessions included")
    idle.close()


# ---------------------------------------------------------------------------------------------------------------------------


def tail(path, lines=40):
    try:
        return path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def run_step(world, function):
    begun = time.monotonic()
    world.answers.clear()
    problem = ""
    try:
        function(world)
    except Failed as failure:
        problem = str(failure)
    except Exception:  # a bug here, or an answer of an unexpected shape
        problem = traceback.format_exc()
    try:
        world.tidy()
    except Exception as failure:
        problem = problem or f"afterwards: {failure!r}"
    took = f"({time.monotonic() - begun:.1f} s)"
    if not problem:
        print(f"ok      {name_of(function)} {took}", flush=True)
        return True
    print(f"FAILED  {name_of(function)} {took}\n    {problem}")
    print("    last answers:", *(f"\n      {answer}" for _, answer in world.answers))
    print("    end of the log:", *(f"\n      {line}" for line in tail(world.log)), flush=True)
    return False


def main():
    parser = argparse.ArgumentParser(description="Does the main job over HTTP against a real `curfew demo`.")
    parser.add_argument("--binary", default="target/debug/curfew", help="the curfew to start (default: %(default)s)")
    parser.add_argument("--only", metavar="NAME", help="only the steps whose name contains this")
    parser.add_argument("--list", action="store_true", help="print the steps' names")
    parser.add_argument("--keep", action="store_true", help="keep the demo's folder and log")
    options = parser.parse_args()
    wanted = (options.only or "").replace("_", " ")
    steps = [function for function in STEPS if wanted in name_of(function)]
    if options.list:
        print(*map(name_of, steps), sep="\n")
        return 0
    if not steps:
        parser.error(f"no step is called {options.only!r}; see --list")
    binary = shutil.which(options.binary) or options.binary
    if not os.access(binary, os.X_OK):
        parser.error(f"{options.binary} is not there, or not executable")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the demo is stopped too

    world = World(os.path.abspath(binary))
    passed = failed = 0
    try:
        for function in steps:
            if run_step(world, function):
                passed += 1
            else:
                failed += 1
            if world.process and not world.ever_ready:
                failed = len(steps) - passed
                print("The demo never became ready, so the other steps count as failed.")
                break
    finally:
        world.destroy(options.keep)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
