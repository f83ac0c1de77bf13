"""What the tool has to know of the service: how to log in, what is in the database, and which
refusals of valid requests are right."""

import datetime
import functools
import os
import random
import re

import requests
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.transport import AUTH_REJECTION_STATUSES
from schemathesis.specs.openapi import checks

BASE = os.environ["JOC_ORDERS_TEST_URL"] + "/joc/api"
ACCOUNT = ("root", os.environ["JOC_ORDERS_ROOT_PASSWORD"])
CONTROLLER = "prod"

# The check ignored_auth knows 401 and 403 as answers to an access token that is not valid. JOC's
# is 440, for an unknown token as well as for one that has expired.
checks.AUTH_REJECTION_STATUSES = AUTH_REJECTION_STATUSES | {440}


def log_in():
    answer = requests.post(f"{BASE}/authentication/login", auth=ACCOUNT, timeout=30)
    answer.raise_for_status()
    return answer.json()["accessToken"]


@schemathesis.auth(refresh_interval=None)
class Session:
    token = None

    def get(self, case, context):
        path = context.operation.path
        if path.endswith("/login"):
            return "basic"
        if path.endswith("/logout"):
            return log_in()
        Session.token = Session.token or log_in()
        return Session.token

    def set(self, case, data, context):
        if data == "basic":
            case.headers["Authorization"] = requests.auth._basic_auth_str(*ACCOUNT)
        else:
            case.headers["X-Access-Token"] = data


@schemathesis.hook
def before_call(context, case, kwargs):
    """Most of what the tool makes up is unknown, which would end every call early."""
    body = case.body
    if not isinstance(body, dict):
        return
    if is_controller_id(body.get("controllerId")):
        body["controllerId"] = CONTROLLER
    if case.meta and case.meta.generation.mode.is_positive:
        chance = random.Random(case.id)
        orders = body.get("orders")
        for holder in [body, body.get("workflowId"), *(orders if isinstance(orders, list) else [])]:
            if isinstance(holder, dict):
                for field, known in known_values().items():
                    # An unsupported filter has a value that filters nothing.
                    if holder.get(field) and chance.random() < 0.7:
                        holder[field] = chance.choice(known)


@functools.cache
def known_values():
    """What is there, by the fields that name it."""
    ids, past, paths = set(), set(), set()
    headers = {"X-Access-Token": log_in()}
    for call, found in [("orders", ids), ("orders/history", past)]:
        answer = requests.post(
            f"{BASE}/{call}", json={"controllerId": CONTROLLER, "limit": 50}, headers=headers, timeout=30
        ).json()
        for order in answer[call.split("/")[-1]]:
            found.add(order["orderId"])
            if "workflowId" in order:
                paths.add(order["workflowId"]["path"])
    paths = sorted(paths)
    return {"orderId": sorted(ids | past), "workflowPath": paths, "path": paths}


def is_controller_id(value):
    return isinstance(value, str) and re.fullmatch(r'[^/\\<>?!&:;()"|*^\x00-\x1f\x7f]{1,100}', value)


# What may be said of a request that follows its schema: there is nothing that it could be about,
# or fields do not go together, which a schema does not say.
RIGHT = [
    r"JOC-400: ControllerObjectNotExistException: No (\w+ )?orders found\.",
    r"JOC-400: ControllerObjectNotExistException: No orders to restore found\..*",
    r"JOC-400: auditLogId: there is no entry \d+ that changed orders",
    r"JOC-400: auditLogId: was undone already, by the entry \d+",
    r"JOC-420: auditLogId: the entry is of \S+, only \./orders/cancel can be undone",
    r"JOC-404: controllerId: there is no controller '.*'",
    r"JOC-404: url: there is no controller at this address",
    r"JOC-400: orderId: there is no order '.*'",
    r"JOC-400: historyId: there is no order \d+",
    r"JOC-400: Workflow '.*'( in version '.*')? doesn't exist",
    r"JOC-420: workflowId\.path: several workflows are named .*",
    r"JOC-400: orders\[\d+\]\.workflowPath: there is no workflow '.*'",
    r"JOC-420: orders\[\d+\]\.workflowPath: '.*' is the name of \d+ workflows.*",
    r"JOC-420: orderIds, workflowIds, folders, states, dateFrom, dateTo: at least one selector is required.*",
    r"JOC-420: maxOrders: \d+ orders would be affected, at most \d+ are allowed",
    r"JOC-420: Idempotency-Key: came with another request before; send a new key",
    r"JOC-405: \w+: the window is empty: .*",
    r"JOC-420: unit: the window has more than 1000 (hours|days)",
    # Far dates and long periods, and numbers in names of days.
    r"JOC-405: (\w+|orders\[\d+\]\.scheduledFor): '.*' leaves the years 1 to 9999",
    # Instructions and branches in turn, an instruction at the end.
    r"JOC-420: (position|orders\[\d+\]\.startPosition): (labels are not supported, )?a list such as .* is expected",
    # The tool makes up Python's expressions.
    r"JOC-420: regex: '.*' is not a regular expression: .*",
]


class RefusedThoughValid(Failure):
    __slots__ = ()


@schemathesis.check
def valid_requests_are_refused_for_a_reason(context, response, case):
    if response.status_code != 420 or not case.meta or not case.meta.generation.mode.is_positive:
        return
    error = response.json()["error"]
    message = f"{error['code']}: {error['message']}"
    if any(re.fullmatch(pattern, message, re.DOTALL) for pattern in RIGHT):
        return
    if error["code"] == "JOC-405" and names_no_day(error["message"], case.body):
        return
    raise RefusedThoughValid(
        operation=case.operation.label,
        title="A request that follows its schema is refused",
        message=message,
    )


@schemathesis.check
def nothing_is_unforeseen(context, response, case):
    if response.status_code == 420 and response.json()["error"]["code"] == "JOC-500":
        raise RefusedThoughValid(
            operation=case.operation.label,
            title="Something unforeseen happened",
            message=response.text,
        )


def names_no_day(message, body):
    """Whether the field that is refused names a day that its month, or a year, does not have."""
    field = re.match(r"(?:orders\[(\d+)\]\.)?(\w+): '", message)
    if not field or not isinstance(body, dict):
        return False
    place = body["orders"][int(field[1])] if field[1] else body
    day = re.match(r"(\d{4})-(\d{2})-(\d{2})[T\s]", str(place.get(field[2])))
    try:
        return bool(day) and not datetime.date(*map(int, day.groups()))
    except ValueError:
        return True
