"""What stands in deploy/ is what the code needs: the IAM policy and the calls to AWS, the Terraform module and its policy file,
the sample configuration and the manual. Only the standard library, and nothing but the checkout is read."""

import collections
import json
import pathlib
import re
import tomllib
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
POLICY = (ROOT / "deploy/iam-policy.json").read_text()
STATEMENTS = json.loads(POLICY)["Statement"]
TERRAFORM = {file.name: file.read_text() for file in (ROOT / "deploy/terraform").glob("*.tf")}
MANUAL = (ROOT / "docs/install.md").read_text()
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")

# The clients of src/aws, by the name that the code calls them, and what IAM calls their service.
SERVICES = {
    "sso_admin": "sso",
    "client": "sso",  # identity_center.rs
    "identity_store": "identitystore",
    "organizations": "organizations",
    "sts": "sts",
}
CALL = re.compile(rf"\b({'|'.join(SERVICES)})\s*\.\s*([a-z_]+)\(\)")
WRITES = {"sso:CreateAccountAssignment", "sso:DeleteAccountAssignment"}


def rust(folder):
    """The Rust files below a folder, without comments, tests, and what only makes or clones a client."""
    for file in sorted((ROOT / folder).rglob("*.rs")):
        text = file.read_text().split("#[cfg(test)]")[0]
        text = re.sub(r"//.*|\.(build|clone|config|to_builder)\(\)", "", text)
        yield file, text


def calls(text):
    """The IAM actions behind the SDK methods that a text calls."""
    for client, method in CALL.findall(text):
        yield f"{SERVICES[client]}:{''.join(word.capitalize() for word in method.split('_'))}"


def listed(value):
    return value if isinstance(value, list) else [value]


def actions(effect):
    return {action for statement in STATEMENTS if statement["Effect"] == effect for action in listed(statement["Action"])}


def statements(effect, action):
    return [statement for statement in STATEMENTS if statement["Effect"] == effect and action in listed(statement["Action"])]


class IamPolicy(unittest.TestCase):
    def test_every_call_is_allowed_and_every_allowed_action_is_called(self):
        called = {action for _, text in rust("src/aws") for action in calls(text)}
        self.assertEqual(called - actions("Allow"), set(), "called by src/aws, and not allowed by deploy/iam-policy.json")
        self.assertEqual(actions("Allow") - called, set(), "allowed by deploy/iam-policy.json, and not called by src/aws")

    def test_no_call_escapes_the_comparison(self):
        for file, text in rust("src/aws"):
            sent, found = text.count(".send()"), len(list(calls(text)))
            self.assertEqual(sent, found, f"{file}: {sent} calls are sent and this test understands {found} of them")

    def test_nothing_outside_of_src_aws_calls_aws(self):
        for file, text in rust("src"):
            inside = {"aws", "sandbox"} & set(file.relative_to(ROOT / "src").parts)
            # Elsewhere, `client` is something else.
            elsewhere = re.findall(r"\b(?:sso_admin|identity_store|organizations|sts)\s*\.\s*[a-z_]+\(\)", text)
            self.assertTrue(inside or not elsewhere, f"{file}: {elsewhere}")

    def test_no_action_is_a_wildcard_and_nothing_is_allowed_by_exception(self):
        for statement in STATEMENTS:
            self.assertEqual(set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}, set(), statement["Sid"])
            for action in listed(statement["Action"]):
                self.assertRegex(action, r"^[a-z]+:[A-Z][A-Za-z]+$")

    def test_it_reads_and_writes_nothing_but_assignments(self):
        reads = {action for action in actions("Allow") if re.match(r"^[a-z]+:(Describe|Get|Is|List)[A-Z]", action)}
        self.assertEqual(actions("Allow") - reads, WRITES)

    def test_writes_name_their_resources(self):
        for statement in STATEMENTS:
            if WRITES & set(listed(statement["Action"])):
                self.assertNotIn("*", listed(statement["Resource"]), statement["Sid"])

    def test_the_management_account_is_denied_for_every_write(self):
        denied = collections.defaultdict(set)
        for statement in STATEMENTS:
            if statement["Effect"] == "Deny" and "Condition" not in statement:
                for resource in listed(statement["Resource"]):
                    denied[resource] |= set(listed(statement["Action"]))
        self.assertEqual(denied["arn:aws:sso:::account/${management_account_id}"], WRITES)

    def test_giving_asks_for_the_tag_and_taking_away_for_nothing(self):
        sets = "arn:aws:sso:::permissionSet/${instance_id}/*"
        give, take = (
            [statement for statement in statements("Allow", action) if sets in listed(statement["Resource"])]
            for action in ("sso:CreateAccountAssignment", "sso:DeleteAccountAssignment")
        )
        tag = {"StringEquals": {"aws:ResourceTag/curfew": "true"}}
        self.assertEqual([statement.get("Condition") for statement in give], [tag])
        self.assertEqual([statement.get("Condition") for statement in take], [None])


class Terraform(unittest.TestCase):
    def test_it_renders_the_very_policy_file_and_fills_in_all_of_its_placeholders(self):
        rendered = re.findall(r'templatefile\("\$\{path\.module\}/(.*?)", \{(.*?)\}\)', TERRAFORM["main.tf"], re.DOTALL)
        self.assertEqual(len(rendered), 1)
        file, given = rendered[0]
        self.assertEqual((ROOT / "deploy/terraform" / file).resolve(), ROOT / "deploy/iam-policy.json")
        given = dict(re.findall(r"(\w+)\s*=\s*var\.(\w+)", given))
        self.assertEqual(given, {name: name for name in PLACEHOLDER.findall(POLICY)})

    def test_it_uses_every_variable_it_declares_and_declares_every_one_it_uses(self):
        declared = re.findall(r'^variable "(\w+)"', TERRAFORM["variables.tf"], re.MULTILINE)
        self.assertEqual(set(declared), set(re.findall(r"\bvar\.(\w+)", TERRAFORM["main.tf"])))

    def test_its_manual_names_every_variable(self):
        readme = (ROOT / "deploy/terraform/README.md").read_text()
        for name in re.findall(r'^variable "(\w+)"', TERRAFORM["variables.tf"], re.MULTILINE):
            self.assertIn(f"`{name}`", readme)


def keys(section, values):
    """The keys as the manual's tables name them: with their section, or bare in the table of a list's entries."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from keys(f"{section}{key}.", value)
        elif isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value):
            for entry in value:
                yield from keys("", entry)
        else:
            yield f"{section}{key}"


class Manual(unittest.TestCase):
    def test_by_hand_the_same_placeholders_are_filled_in(self):
        by_hand = set(re.findall(r"s/\\\$\{(\w+)\}/", MANUAL))
        self.assertEqual(by_hand, set(PLACEHOLDER.findall(POLICY)))

    def test_every_key_of_the_sample_configuration_is_explained(self):
        text = (ROOT / "deploy/curfew.toml").read_text()
        # What is commented out is a sample too: "# key = value", "# [section]".
        whole = re.sub(r"(?m)^# (?=[a-z_]+ = |\[)", "", text)
        for sample in (text, whole):
            for name in keys("", tomllib.loads(sample)):
                self.assertRegex(MANUAL, rf"(?m)^\| (`[a-z_.]+`, )*`{re.escape(name)}`", name)

    def test_the_sample_policy_is_toml(self):
        self.assertTrue(tomllib.loads((ROOT / "deploy/policy.toml").read_text())["rule"])


if __name__ == "__main__":
    unittest.main()
