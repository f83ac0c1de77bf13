#!/usr/bin/env python3
"""What a program does that was written for JOC with SOS's Python client, which is used as it is.

    js7_client.py URL ACCOUNT:PASSWORD READER:PASSWORD CONTROLLER

READER may only view orders. The controller has these orders of the workflow /sos/billing/eod, whose
versions are 1 and 2: `#1#P1-asks` is prompting, `#1#P2-sleeps` sleeps, `#1#P3-fails` has failed,
`#1#P4-runs` runs, `#1#P5-ends` is finished. It has no other orders.
"""

import datetime
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import js7
from js7.model import (
    AuditLog,
    GetOrderFilter,
    OrderHistoryFilter,
    Folder,
    ResumeOrderFilter,
    ScheduleTime,
    SuspendOrderFilter,
    WorkflowID,
)

WORKFLOW = "/sos/billing/eod"
ASKS, SLEEPS, FAILS, RUNS, ENDS = (
    f"#1#P{i}-{name}" for i, name in enumerate(["asks", "sleeps", "fails", "runs", "ends"], 1)
)

url, root, reader, CONTROLLER = sys.argv[1:]
service = urllib.parse.urlsplit(url)


def connect(credentials):
    username, password = credentials.split(":")
    return js7.Client(
        http_config=js7.model.HTTPConfiguration(host=service.hostname, port=service.port),
        auth_config=js7.model.AuthConfiguration(
            basic_auth=js7.model.BasicAuth(username=username, password=password)
        ),
    )


def same(found, expected):
    assert found == expected, f"expected {expected!r}, found {found!r}"


def refused(exception, end, call, *arguments, **fields):
    """Expects an exception of this class whose message ends so."""
    try:
        found = call(*arguments, **fields)
    except js7.model.JocError as error:
        same(type(error), exception)
        assert str(error).endswith(end), f"expected … {end!r}, found {error!s}"
    else:
        raise AssertionError(f"expected {exception.__name__}, found {found!r}")


def nothing(what, call, *arguments, **fields):
    """Expects that there is nothing to do."""
    refused(js7.model.JocOperationFailed, f"No {what} found.", call, *arguments, **fields)


def unknown(call, *arguments, **fields):
    """Expects an endpoint that does not exist."""
    refused(js7.model.JocError, "Unhandled HTTP status 404", call, *arguments, **fields)


# The constructor logs in and asks for the version.
refused(js7.model.AuthenticationFailed, "Wrong account or password", connect, "root:wrong")
client = connect(root)
manage, operate = client.order.manage, client.order.operate
same(client.joc.manage.get_version(), "2.7.3")


def listed(state, **fields):
    """The names of the orders in this state."""
    orders = manage.get_orders(CONTROLLER, GetOrderFilter(states=[state], **fields))
    return sorted(order.order_name for order in orders)


# Versions and the controller.
versions = client.joc.manage.get_components_versions_info([CONTROLLER], None)
same(versions["joc_version"], "2.7.3")
same(versions["agent_versions"], [])
same(
    versions["controller_versions"],
    [{"controller_id": CONTROLLER, "uri": url, "version": "2.7.3", "compatibility": "COMPATIBLE"}],
)
same(client.joc.manage.get_components_versions_info(None, ["agent"])["controller_versions"], [])
status = client.controller.manage.get_controller_status(CONTROLLER, None, None)["controller"]
same((status["controller_id"], status["role"], status["url"]), (CONTROLLER, "STANDALONE", url))
same(status["connection_state"], {"text": "established", "severity": 0})
# The client does not read this one's text.
same(status["component_state"]["severity"], 0)

# Lists: the client passes on states, ids, a pattern and a limit.
same(listed("PROMPTING"), ["asks"])
same(listed("WAITING"), ["sleeps"])
same(listed("FAILED"), ["fails"])
same(listed("SUSPENDED"), [])
same(listed("PROMPTING", regex="P2"), [])
[found] = manage.get_orders(CONTROLLER, GetOrderFilter(order_ids=[FAILS]))
same((found.order_name, found.workflow_path), ("fails", WORKFLOW))
same(len(manage.get_orders(CONTROLLER, GetOrderFilter(limit=2))), 2)
refused(
    js7.model.JocOperationFailed,
    "there is no controller 'gone'",
    manage.get_orders,
    "gone",
    GetOrderFilter(),
)

# Add.
order = js7.model.Order(
    order_name="nightly",
    workflow_path=WORKFLOW,
    scheduled_for=ScheduleTime.now_plus_seconds(3600),
    arguments={"run": "full", "days": 3, "dry": False},
)
later, never = (
    operate.add_orders(CONTROLLER, [added], AuditLog(comment="by Python", ticket_link="OPS-1"))
    for added in [
        order,
        order.model_copy(update={"order_name": "someday", "scheduled_for": ScheduleTime.never()}),
    ]
)
[later], [never] = later, never
assert later.startswith("#") and later.endswith("-nightly"), later
same(listed("SCHEDULED"), ["nightly"])
same(listed("PENDING"), ["someday"])
[found] = manage.get_orders(CONTROLLER, GetOrderFilter(order_ids=[later]))
same(found.arguments, order.arguments)
due = datetime.datetime.strptime(found.scheduled_for.value, "%Y-%m-%d %H:%M:%S")
wait = due - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
assert 3500 < wait.total_seconds() < 3601, found.scheduled_for
refused(
    js7.model.JocOperationFailed,
    "there is no workflow '/gone'",
    operate.add_orders,
    CONTROLLER,
    [order.model_copy(update={"workflow_path": "/gone"})],
)

# Suspend and resume.
only = SuspendOrderFilter(order_ids=[later], kill=False, deep=False, reset=False)
same(operate.suspend_orders(CONTROLLER, only, AuditLog(comment="wait")), True)
same(listed("SUSPENDED"), ["nightly"])
nothing("suspendible orders", operate.suspend_orders, CONTROLLER, only)
only = ResumeOrderFilter(order_ids=[later])
same(operate.resume_orders(CONTROLLER, only), True)
same(listed("SUSPENDED"), [])
same(listed("SCHEDULED"), ["nightly"])
nothing("resumable orders", operate.resume_orders, CONTROLLER, only)
failed = ResumeOrderFilter(
    workflow_ids=[WorkflowID(workflow_path=WORKFLOW, version_id="1")], states=["FAILED"]
)
same(operate.resume_orders(CONTROLLER, failed), True)

# Confirm and continue.
same(operate.confirm_orders(CONTROLLER, order_ids=[ASKS]), True)
nothing("prompting orders", operate.confirm_orders, CONTROLLER, order_ids=[ASKS])
same(listed("PROMPTING"), [])
same(operate.continue_orders(CONTROLLER, workflow_paths=[WORKFLOW]), True)
nothing("orders", operate.continue_orders, CONTROLLER, order_ids=[SLEEPS])

# Cancel: by id with a kill, then by workflow.
same(operate.cancel_orders(CONTROLLER, order_ids=[RUNS], kill=True), True)
nothing("orders", operate.cancel_orders, CONTROLLER, order_ids=[RUNS], kill=True)
same(operate.cancel_orders(CONTROLLER, order_ids=[later, never]), True)
same(listed("SCHEDULED") + listed("PENDING"), [])
nothing("orders", operate.cancel_orders, CONTROLLER, order_ids=[later, never])
nothing("orders", operate.cancel_orders, CONTROLLER, workflow_paths=["/sos/billing/gone"])

# History and counts.
def past(**fields):
    return manage.get_orders_history(CONTROLLER, OrderHistoryFilter(**fields))


[ended] = past(history_states=["SUCCESSFUL"])
same((ended["order_id"], ended["workflow"]), (ENDS, WORKFLOW))
same(ended["state"]["text"], "SUCCESSFUL")
cancelled = past(history_states=["FAILED"], completed_date_from="1h")
same({order["order_id"] for order in cancelled}, {later, never})
same({order["state"]["text"] for order in cancelled}, {"FAILED"})
same(len(past(limit=1)), 1)
same([order["order_id"] for order in past(order_id="*nightly")], [later])
same(past(folders=[Folder(folder_path="/hr", recursive=True)]), [])
same(past(workflow_name="gone"), [])
same(manage.get_orders_overview(CONTROLLER), (1, 2))
same(manage.get_orders_overview(), (1, 2))
same(manage.get_orders_overview(CONTROLLER, "1h", "0"), (1, 2))
same(manage.get_orders_overview(CONTROLLER, "2d", "1d"), (0, 0))

# Remove what has ended.
same(operate.remove_terminated_orders(CONTROLLER, order_ids=[later, ENDS]), True)
nothing("orders", operate.remove_terminated_orders, CONTROLLER, order_ids=[later])
same(manage.get_orders(CONTROLLER, GetOrderFilter(order_ids=[later, ENDS])), [])
same(manage.get_orders_overview(CONTROLLER), (1, 2))

# Workflows.
workflow = client.workflow.manage.get_workflow(CONTROLLER, WORKFLOW)
same((workflow["path"], workflow["version_id"]), (WORKFLOW, "2"))
same(workflow["is_current_version"], True)
workflow = client.workflow.manage.get_workflow(CONTROLLER, WORKFLOW, "1")
same((workflow["version_id"], workflow["is_current_version"]), ("1", False))
refused(
    js7.model.JocOperationFailed,
    "Workflow '/gone' doesn't exist",
    client.workflow.manage.get_workflow,
    CONTROLLER,
    "/gone",
)
same(
    client.workflow.manage.get_workflow_versions(CONTROLLER, WORKFLOW, False),
    {"1": WORKFLOW, "2": WORKFLOW},
)
same(
    client.workflow.manage.get_workflow_versions(CONTROLLER, WORKFLOW, True), {"1": WORKFLOW}
)

# What the service does not have.
unknown(client.workflow.manage.search_workflows, CONTROLLER, "eod")
unknown(client.workflow.operate.suspend_workflows, CONTROLLER, [WORKFLOW])
unknown(client.controller.manage.get_controller_components, CONTROLLER)
unknown(client.joc.manage.get_license_info)
unknown(client.joc.manage.get_settings_info)
unknown(manage.get_order_log, CONTROLLER, 1)

# Without the permission.
viewer = connect(reader)
same(viewer.order.manage.get_orders_overview(), (1, 2))
denied = viewer.order.operate.cancel_orders
refused(
    js7.model.PermissionDenied,
    f"is missing for {CONTROLLER}",
    denied,
    CONTROLLER,
    order_ids=[RUNS],
)

# Log out, which ends the session on the service too.
token = client.login()
same(client.logout(), True)
try:
    client.order.manage.get_orders(CONTROLLER, GetOrderFilter())
except ValueError:
    pass
else:
    raise AssertionError("still logged in")
request = urllib.request.Request(
    f"{url}/joc/api/touch", method="POST", headers={"X-Access-Token": token}
)
try:
    urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    same((error.code, json.load(error)["isAuthenticated"]), (440, False))
else:
    raise AssertionError("the session is still there")
print(later, never)
