#!/usr/bin/env python3
"""Validates the responses of every endpoint against JOC's own JSON schemas.

    joc_schemas.py SCHEMAS PROGRAM DATABASE_URL

SCHEMAS has one folder for each release, with the files of js7-api-schemas and js7-inventory-schemas.
Any deviation must be allowed by one of the releases, or listed in docs/api/additions.md. The database
must be empty. Started by scripts/joc-schemas.
"""

import base64
import datetime
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import jsonschema
import referencing
import referencing.jsonschema

SCHEMAS, PROGRAM, DATABASE_URL = sys.argv[1:]
ROOT = pathlib.Path(__file__).parents[2]
ADDITIONS = ROOT / "docs/api/additions.md"
ORDERS = ROOT / "tests/fixtures/orders.json"
CONTROLLER, PASSWORD = "prod", "a-password-to-try"
RAML = "src/main/resources/raml"

# The schema that JOC's api.raml or api-internal.raml names for each endpoint; for
# /authentication/joc_cockpit_permissions, where it names one of a role, the one of all permissions
# of an account, which is what clients get. Previews are additions.
OK, SECURITY, ERROR = "common/ok", "user/security", "common/error420"
SUCCESS = {
    "/audit_log": "audit/auditLog",
    "/audit_log/details": "audit/auditLogDetails",
    "/authentication/joc_cockpit_permissions": "security/securityConfiguration/permissions",
    "/authentication/login": SECURITY,
    "/authentication/logout": SECURITY,
    "/controller": "controller/jobscheduler200_v",
    "/controller/ids": "controller/controllerIds",
    "/controller/p": "controller/jobscheduler200_v",
    "/controller/switch": OK,
    "/controllers": "controller/masters",
    "/controllers/p": "controller/masters",
    "/joc/is_active": OK,
    "/joc/properties": "joc/properties",
    "/joc/version": "joc/version",
    "/joc/versions": "joc/versionResponse",
    "/order": "order/order_v",
    "/order/history": "order/orderHistoryItemChildren",
    "/orders": "order/orders_v",
    "/orders/add": "order/orderIds",
    "/orders/cancel": OK,
    "/orders/change": OK,
    "/orders/confirm": OK,
    "/orders/continue": OK,
    "/orders/history": "order/orderHistory",
    "/orders/overview/snapshot": "order/snapshot",
    "/orders/overview/summary": "order/summary",
    "/orders/remove_when_terminated": OK,
    "/orders/resume": OK,
    "/orders/suspend": OK,
    "/touch": OK,
    "/tree": "tree/treeView",
    "/workflow": "workflow/workflow",
    "/workflows": "workflow/workflows",
    "/workflows/order_count": "workflow/workflowsOrderCount",
}
FAILURE = {401: SECURITY, 403: SECURITY, 404: ERROR, 420: ERROR, 440: SECURITY}

formats = jsonschema.FormatChecker(formats=[])


@formats.checks("date-time", raises=ValueError)
def is_instant(value):
    return not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is not None


class Release:
    """JOC's schemas of one release."""

    def __init__(self, folder):
        self.name, self.folder = folder.name, (folder / RAML).resolve()
        self.registry = referencing.Registry(retrieve=functools.cache(self.retrieve))
        self.validators = {}

    def contents(self, file):
        """A schema with what it `extends`, a keyword of JSON schema's draft 3 that SOS still uses."""
        schema = json.loads(file.read_text())
        if parent := schema.pop("extends", None):
            parent = self.contents((file.parent / parent["$ref"]).resolve())
            for keyword, empty in ("properties", {}), ("required", []):
                own = schema.get(keyword, empty)
                inherited = parent.get(keyword, empty)
                both = {**inherited, **own} if empty == {} else sorted({*inherited, *own})
                if both:
                    schema[keyword] = both
        return schema

    def retrieve(self, uri):
        file = pathlib.Path(uri.removeprefix("file://"))
        if not file.exists():  # Some of SOS's references are wrong; such a schema is one of `api`.
            file = self.folder / "api/schemas" / file.parent.name / file.name
        return referencing.Resource(
            contents=self.contents(file),
            specification=referencing.jsonschema.DRAFT4,
        )

    def deviations(self, name, response):
        uri = (self.folder / f"api/schemas/{name}-schema.json").as_uri()
        validator = self.validators.setdefault(name, jsonschema.Draft4Validator(
            {"$ref": uri}, registry=self.registry, format_checker=formats
        ))
        return {
            deviation for error in validator.iter_errors(response) for deviation in described(error)
        }


def described(error):
    """What is wrong: the place, with `[]` for any index, and the problem."""
    place = ".".join("[]" if isinstance(step, int) else step for step in error.absolute_path)
    place = place.replace(".[]", "[]")
    if error.validator == "additionalProperties":
        for field in error.instance.keys() - error.schema.get("properties", {}).keys():
            yield f"{place}.{field}".lstrip("."), "addition"
    elif error.validator == "required":
        for field in set(error.validator_value) - error.instance.keys():
            yield f"{place}.{field}".lstrip("."), "missing"
    elif error.context:
        for inner in error.context:
            yield from described(inner)
    else:
        yield place, f"{error.validator}: {json.dumps(error.instance)[:60]}"


def additions():
    """The endpoints and fields in the table of differences."""
    found = set()
    for line in ADDITIONS.read_text().splitlines():
        if row := re.match(r"\| `(/[a-z_/]+)` \| (?:`([^`]+)`) \|", line):
            found.add(row.groups())
    return found


class Service:
    """The program, and the tokens of two accounts: root, and one without a permission."""

    def __init__(self):
        self.environment = {
            **os.environ, "DATABASE_URL": DATABASE_URL, "JOC_ORDERS_ROOT_PASSWORD": PASSWORD,
        }
        orders = json.loads(ORDERS.read_text())
        # JOC would not have these paths.
        orders["orders"] = [
            order for order in orders["orders"] if not set(order["workflowId"]["path"]) & set("'\"")
        ]
        self.run("import", "--controller-id", CONTROLLER, "-", text=json.dumps(orders))
        log = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--listen", "127.0.0.1:0"], env=self.environment,
            stderr=subprocess.STDOUT, stdout=log,
        )
        for _ in range(100):
            text = pathlib.Path(log.name).read_text()
            if found := re.search(r"listening.*address=([0-9.:]+)", text):
                self.url = f"http://{found[1]}"
                return
            time.sleep(0.1)
        self.process.terminate()
        raise RuntimeError(f"the service does not start: {text}")

    def run(self, *arguments, text=None):
        subprocess.run(
            [PROGRAM, *arguments], env=self.environment, input=text, text=True, check=True,
            stdout=subprocess.DEVNULL,
        )

    def request(self, path, body, **headers):
        body = body if isinstance(body, str) else json.dumps(body)
        headers = {name.replace("_", "-"): value for name, value in headers.items() if value}
        request = urllib.request.Request(
            f"{self.url}/joc/api{path}", data=body.encode(), method="POST",
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            response = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            response = error
        return response.status, json.load(response), response.headers

    def login(self, account, password):
        credentials = base64.b64encode(f"{account}:{password}".encode()).decode()
        return self.request("/authentication/login", "", Authorization=f"Basic {credentials}")


class Check:
    def __init__(self, service, releases):
        self.service, self.releases, self.known = service, releases, additions()
        self.valid, self.wrong, self.used, self.answered = {}, set(), set(), set()

    def response(self, path, status, response):
        """Validates a response against every release."""
        name = SUCCESS.get(path) if status == 200 else FAILURE.get(status)
        if not name:
            self.wrong.add((path, status, "", f"no schema: {json.dumps(response)[:200]}"))
            return
        remaining = None
        for release in self.releases:
            found = release.deviations(name, response)
            known = {(place, problem) for place, problem in found if (path, place) in self.known}
            self.used |= {(path, place) for place, _ in known}
            found -= known
            key = (path, status, release.name)
            self.valid[key] = self.valid.get(key, True) and not found
            remaining = found if remaining is None else remaining & found
        self.wrong |= {(path, status, place, problem) for place, problem in remaining}

    def post(self, path, body, token, expected=200):
        status, response, headers = self.service.request(path, body, X_Access_Token=token)
        if status != expected:
            problem = f"expected {expected}: {response.get('error', response)}"
            self.wrong.add((path, status, "", problem))
        self.answered.add((path, status))
        if not path.endswith("/preview") or status != 200:
            self.response(path, status, response)
        return response, headers


def check(service, releases):
    checked = Check(service, releases)
    status, login, _ = service.login("root", PASSWORD)
    checked.answered.add(("/authentication/login", status))
    checked.response("/authentication/login", status, login)
    checked.response("/authentication/login", *service.login("root", "wrong")[:2])
    token = login["accessToken"]
    service.run("account", "add", "nobody", text=PASSWORD + "\n")
    nobody = service.login("nobody", PASSWORD)[1]["accessToken"]

    def post(path, token=token, expected=200, **body):
        return checked.post(path, {"controllerId": CONTROLLER, **body}, token, expected)

    def orders(*states):
        found, _ = post("/orders", states=[*states], limit=-1)
        return [order["orderId"] for order in found["orders"]]

    # Every kind of change, so that every endpoint has something to show.
    listed, _ = post("/orders", limit=-1)
    workflow = listed["orders"][0]["workflowId"]
    why = {"comment": "to see it", "timeSpent": 5, "ticketLink": "OPS-1"}
    new = [{"workflowPath": workflow["path"], "orderName": "a", "scheduledFor": date,
            "timeZone": "Europe/Berlin", "arguments": {"text": "a", "number": 1.5, "flag": True,
            "list": [{"a": 1}], "map": {"a": 1}}, "priority": 5} for date in ("now+3600", "never")]
    post("/orders/add/preview", orders=new)
    post("/orders/add", token=nobody, expected=403, orders=new)
    added, _ = post("/orders/add", orders=new, auditLog=why)
    ids = added["orderIds"]
    ended = orders("FINISHED", "CANCELLED") or []
    changes = [
        ("/orders/suspend", {"orderIds": [ids[0]]}),
        ("/orders/resume", {"orderIds": [ids[0]]}),
        ("/orders/change", {"orderIds": [ids[0]], "priority": 7}),
        ("/orders/confirm", {"orderIds": orders("PROMPTING")[:1]}),
        ("/orders/continue", {"folders": [{"folder": "/"}]}),
        ("/orders/cancel", {"orderIds": orders("RUNNING"), "kill": True}),
        ("/orders/cancel", {"orderIds": orders("FAILED", "SCHEDULED"), "deep": True}),
        ("/orders/remove_when_terminated", {"orderIds": ended[:1] or [ids[0]]}),
    ]
    for path, fields in changes:
        post(f"{path}/preview", **fields)
        post(path, token=nobody, expected=403, **fields)
        post(path, auditLog=why, **fields)
        post(path, expected=420, orderIds=["gone"])

    listed, _ = post("/orders", limit=-1)
    for order in listed["orders"][:20]:
        post("/order", orderId=order["orderId"])
    past, _ = post("/orders/history", limit=-1)
    for order in past["history"][:20]:
        post("/order/history", orderId=order["orderId"])
    for order in orders("RUNNING", "WAITING", "INPROGRESS")[:20]:
        post("/order/history", orderId=order)
    post("/orders/history", historyStates=["INCOMPLETE"])
    post("/orders/overview/snapshot")
    post("/orders/overview/summary")
    workflows, _ = post("/workflows")
    post("/workflows", compact=True)
    for found in workflows["workflows"][:20]:
        identity = {"path": found["path"], "versionId": found["versionId"]}
        post("/workflow", workflowId=identity)
        post("/workflows/order_count", workflowIds=[identity])
    post("/tree")
    entries, _ = post("/audit_log")
    for entry in entries["auditLog"]:
        post("/audit_log/details", auditLogId=entry["id"])
    for path in SUCCESS:
        if path.startswith(("/controller", "/joc/")) or path in (
            "/touch", "/authentication/joc_cockpit_permissions",
        ):
            post(path)
    checked.post("/audit_log", {}, token)

    # Every endpoint as it fails.
    with urllib.request.urlopen(f"{service.url}/openapi.json", timeout=60) as description:
        paths = json.load(description)["paths"]
    paths = [path.removeprefix("/joc/api") for path in paths if path.startswith("/joc/api")]
    for path in paths:
        if path != "/authentication/login":
            checked.post(path, "{}", None, 401)
            if path != "/authentication/logout":
                checked.post(path, "{}", "no-token", 440)
        else:
            checked.post(path, "{}", None, 401)
        for body in '{"controllerId": "prod", "orderIds": 1', "", '{"controllerId": "gone"}', json.dumps(
            {"controllerId": CONTROLLER, "orderIds": ["a"], "orderId": "a", "auditLogId": 4711,
             "workflowId": {"path": "/gone"}, "workflowIds": [{"path": "/gone"}], "orders": new}
        ):
            if path not in ("/authentication/login", "/authentication/logout"):
                for account in token, nobody:
                    status, response, _ = service.request(path, body, X_Access_Token=account)
                    if status != 200:
                        checked.response(path, status, response)
                    checked.answered.add((path, status))
        if (path, 200) not in checked.answered and path != "/authentication/logout":
            checked.wrong.add((path, 200, "", "was never requested with success"))
    checked.post("/joc/license", "{}", token, 404)
    checked.post("/authentication/logout", "", token)
    return checked


def main():
    releases = [Release(folder) for folder in sorted(pathlib.Path(SCHEMAS).iterdir())]
    service = Service()
    try:
        checked = check(service, releases)
    finally:
        service.process.terminate()
        service.process.wait()
    names = [release.name for release in releases]
    print(f"{'endpoint':45} {'status':6} {' '.join(names)}")
    for path, status in sorted({key[:2] for key in checked.valid}):
        valid = ["valid" if checked.valid[path, status, name] else "-----" for name in names]
        print(f"{path:45} {status:6} {' '.join(valid)}")
    for path, status, place, problem in sorted(checked.wrong):
        print(f"{path} {status}: {place}: {problem}")
    for endpoint, field in sorted(checked.known - checked.used):
        print(f"{ADDITIONS.name}: {endpoint} {field} is as in JOC")
    return bool(checked.wrong or checked.known - checked.used)


if __name__ == "__main__":
    sys.exit(main())
