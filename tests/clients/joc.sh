#!/usr/bin/env bash
# A night's work of a script that was written for JOC: curl and jq, Basic credentials on every
# request, the access token beside them, and decisions by what the JSON says, never by the status.
#
#   joc.sh URL USER:PASSWORD CONTROLLER WORKFLOW
#
# WORKFLOW is the path of a workflow that is known and whose name no other one has. It must have no
# orders of its own that are due before tomorrow or wait: the script cancels by workflow and date.
set -euo pipefail
joc_url=$1 credentials=$2 controller=$3 workflow=$4
ticket=OPS-$(date +%s)-$$ # Of this run alone.

token=
options=(-k -L -s -S -X POST -m 60 --user "$credentials"
    -H 'Accept: application/json' -H 'Content-Type: application/json')

fail() {
    echo "$*" >&2
    exit 1
}

# call PATH [BODY]: the answer's JSON.
call() {
    local answer headers=()
    [ -z "$token" ] || headers=(-H "X-Access-Token: $token")
    if [ $# = 2 ]; then
        answer=$(curl "${options[@]}" "${headers[@]}" -d "$2" "$joc_url/joc/api$1")
    else
        answer=$(curl "${options[@]}" "${headers[@]}" "$joc_url/joc/api$1")
    fi
    jq -e . <<<"$answer" >/dev/null || fail "$1: no JSON: $answer"
    echo "$answer"
}

# change PATH FIELDS: 0 if it was done, 3 if there was nothing to do, as JOC's clients tell it.
change() {
    local answer code
    answer=$(call "$1" "{ \"controllerId\": \"$controller\", $2 }")
    [ -n "$(jq -r '.ok // empty' <<<"$answer")" ] && return 0
    code=$(jq -r '.error.code // empty' <<<"$answer")
    [ "$code" = JOC-400 ] || fail "$1: $answer"
    return 3
}

# nothing PATH FIELDS: expects that there is nothing to do.
nothing() {
    local status=0
    change "$@" || status=$?
    [ "$status" = 3 ] || fail "$1: expected to find nothing, got $status"
}

# state ORDER STATE: expects the order to be in the state.
state() {
    local answer found
    answer=$(call /orders "{ \"controllerId\": \"$controller\", \"orderIds\": [ \"$1\" ], \
        \"compact\": false, \"limit\": 10000, \"auditLog\": { \"comment\": \"look\" } }")
    found=$(jq -r '.orders[0].state._text // empty' <<<"$answer")
    [ "$found" = "$2" ] || fail "$1: expected $2, found $found"
}

# Log in, with no body at all.
token=$(call /authentication/login | jq -r '.accessToken // empty')
[ -n "$token" ] || fail "no access token"
call /controller/ids | jq -e --arg c "$controller" '.controllerIds | index($c) != null' >/dev/null ||
    fail "controller/ids does not know $controller"
call /touch | jq -e .ok >/dev/null || fail "touch"

# Add an order, by the workflow's name and by its path.
add() {
    call /orders/add "{ \"controllerId\": \"$controller\", \"orders\": [ { \"orderName\": \"nightly\", \
        \"workflowPath\": \"$1\", \"scheduledFor\": \"$2\", \"timeZone\": \"Europe/Berlin\", \
        \"arguments\": { \"run\": \"full\" }, \"forceJobAdmission\": false } ] }" |
        jq -r '.orderIds[] // empty'
}
order=$(add "${workflow##*/}" now+3600)
grep -Eq '^#[0-9]{4}-[0-9]{2}-[0-9]{2}#T[0-9]{11}-nightly$' <<<"$order" || fail "an odd id: $order"
bare=$(call /orders/add "{\"controllerId\": \"$controller\", \"orders\": [{\"orderName\": \"bare\", \
    \"workflowPath\": \"$workflow\", \"forceJobAdmission\": false}]}" | jq -r '.orderIds[0]')
state "$order" SCHEDULED

# Suspend it, resume it.
change /orders/suspend "\"orderIds\": [ \"$order\" ], \"kill\": false, \"deep\": false, \"reset\": false"
state "$order" SUSPENDED
nothing /orders/suspend "\"orderIds\": [ \"$order\" ], \"kill\": false, \"deep\": false, \"reset\": false"
change /orders/resume "\"orderIds\": [ \"$order\" ], \"arguments\": { \"run\": \"half\" }"
state "$order" SCHEDULED
nothing /orders/resume "\"orderIds\": [ \"$order\" ]"
nothing /orders/confirm "\"orderIds\": [ \"$order\" ]"
nothing /orders/continue "\"workflowIds\": [ { \"path\": \"$workflow\" } ]"

# Cancel what has been due for two hours: neither order is.
late="\"workflowIds\": [ { \"path\": \"$workflow\" } ], \"states\": [ \"SCHEDULED\", \"BLOCKED\" ], \
    \"timeZone\": \"Europe/Berlin\", \"kill\": false, \"deep\": false, \
    \"auditLog\": { \"comment\": \"clean up\", \"timeSpent\": 1, \"ticketLink\": \"$ticket\" }"
nothing /orders/cancel "$late, \"dateTo\": \"-2h\""
change /orders/cancel "$late, \"dateFrom\": \"-2h\", \"dateTo\": \"30m\""
state "$bare" CANCELLED
state "$order" SCHEDULED
change /orders/cancel "$late, \"dateFrom\": \"30m\", \"dateTo\": \"1d\""
state "$order" CANCELLED
nothing /orders/cancel "\"orderIds\": [ \"$order\", \"$bare\" ]"

# A mistake is told by its code too.
answer=$(call /orders/cancel "{ \"controllerId\": \"$controller\", \"orderIds\": \"$order\" }")
[ "$(jq -r .error.code <<<"$answer")" = JOC-420 ] || fail "not refused: $answer"
answer=$(call /orders/cancel "{ \"controllerId\": \"$controller\", $late, \"dateTo\": \"1q\" }")
[ "$(jq -r .error.code <<<"$answer")" = JOC-405 ] || fail "not refused: $answer"
answer=$(call /orders/cancle "{ \"controllerId\": \"$controller\", $late }")
[ "$(jq -r .error.code <<<"$answer")" = JOC-420 ] || fail "not refused: $answer"

# Who did it, and why?
call /audit_log "{ \"controllerId\": \"$controller\", \"ticketLink\": \"$ticket\", \"dateFrom\": \"1h\" }" |
    jq -e '.auditLog | length == 3 and all(.account != "" and .comment == "clean up")' >/dev/null ||
    fail "the audit log does not say so"

# Log out, with no body.
call /authentication/logout | jq -e 'select(.isAuthenticated == false)' >/dev/null || fail "logout"
answer=$(call /orders "{ \"controllerId\": \"$controller\" }")
[ "$(jq -r .isAuthenticated <<<"$answer")" = false ] || fail "still logged in: $answer"
echo "$order"
