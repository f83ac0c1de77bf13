-- Controllers, workflows and orders. docs/schema.md explains every column.
-- Instants are text in one form, 2026-11-23T12:34:56.789Z, so that text order is time order.
-- `PRAGMA foreign_keys` is off in the sqlite3 shell: what must hold there too is a CHECK or
-- a trigger.

CREATE TABLE controllers (
    controller_id TEXT NOT NULL PRIMARY KEY
        CHECK (length(controller_id) BETWEEN 1 AND 100 AND instr(controller_id, char(0)) = 0
               AND controller_id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
               AND controller_id NOT GLOB '*[/\<>?!&:;()"|*^]*'),
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*')
) STRICT, WITHOUT ROWID;

CREATE TABLE workflows (
    controller_id TEXT NOT NULL REFERENCES controllers,
    path TEXT NOT NULL
        CHECK (length(path) BETWEEN 2 AND 255 AND instr(path, char(0)) = 0
               AND path NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
               AND substr(path, 1, 1) = '/' AND substr(path, -1) <> '/' AND instr(path, '//') = 0),
    version_id TEXT NOT NULL
        CHECK (length(version_id) BETWEEN 1 AND 255 AND instr(version_id, char(0)) = 0
               AND version_id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'),
    -- rtrim(path, every character of path but '/') ends with the last '/'.
    folder TEXT NOT NULL GENERATED ALWAYS AS (
        CASE rtrim(path, replace(path, '/', '')) WHEN '/' THEN '/'
        ELSE rtrim(rtrim(path, replace(path, '/', '')), '/') END) STORED,
    name TEXT NOT NULL GENERATED ALWAYS AS (
        substr(path, length(rtrim(path, replace(path, '/', ''))) + 1)) STORED,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    PRIMARY KEY (controller_id, path, version_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX workflows_name ON workflows (controller_id, name);
CREATE INDEX workflows_folder ON workflows (controller_id, folder);

CREATE TRIGGER workflows_controller_is_known BEFORE INSERT ON workflows
WHEN NOT EXISTS (SELECT 1 FROM controllers c WHERE c.controller_id = NEW.controller_id)
BEGIN SELECT RAISE(ABORT, 'the controller of a workflow must be in controllers'); END;

CREATE TABLE orders (
    controller_id TEXT NOT NULL,
    order_id TEXT NOT NULL
        CHECK (length(order_id) BETWEEN 1 AND 255 AND instr(order_id, char(0)) = 0
               AND order_id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
               AND substr(order_id, 1, 1) <> '|' AND substr(order_id, -1) <> '|'
               AND instr(order_id, '||') = 0),
    parent_id TEXT GENERATED ALWAYS AS (
        CASE WHEN instr(order_id, '|') > 0
        THEN rtrim(rtrim(order_id, replace(order_id, '|', '')), '|') END) STORED,
    -- The eldest ancestor's id; the order's own where it has none.
    root_id TEXT NOT NULL GENERATED ALWAYS AS (
        substr(order_id, 1, instr(order_id || '|', '|') - 1)) STORED,
    workflow_path TEXT NOT NULL,
    workflow_version_id TEXT NOT NULL,
    folder TEXT NOT NULL GENERATED ALWAYS AS (
        CASE rtrim(workflow_path, replace(workflow_path, '/', '')) WHEN '/' THEN '/'
        ELSE rtrim(rtrim(workflow_path, replace(workflow_path, '/', '')), '/') END) STORED,
    state TEXT NOT NULL DEFAULT 'FRESH'
        CHECK (state IN ('FRESH', 'RUNNING', 'INPROGRESS', 'WAITING', 'PROMPTING', 'FAILED',
                         'FINISHED', 'CANCELLED')),
    suspended INTEGER NOT NULL DEFAULT 0 CHECK (suspended IN (0, 1)),
    mark TEXT CHECK (mark IN ('CANCELLING', 'SUSPENDING', 'RESUMING')),
    scheduled_for TEXT
        CHECK (scheduled_for IS strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for) AND scheduled_for >= '0001' AND scheduled_for NOT GLOB '*T24*'),
    -- A kill request: SIGTERM is asked for since kill_requested, SIGKILL from sigkill_at on.
    kill_requested TEXT
        CHECK (kill_requested IS strftime('%Y-%m-%dT%H:%M:%fZ', kill_requested) AND kill_requested >= '0001' AND kill_requested NOT GLOB '*T24*'),
    sigkill_at TEXT
        CHECK (sigkill_at IS strftime('%Y-%m-%dT%H:%M:%fZ', sigkill_at) AND sigkill_at >= '0001' AND sigkill_at NOT GLOB '*T24*'),
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    modified TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (modified IS strftime('%Y-%m-%dT%H:%M:%fZ', modified) AND modified >= '0001' AND modified NOT GLOB '*T24*'),
    PRIMARY KEY (controller_id, order_id),
    FOREIGN KEY (controller_id, workflow_path, workflow_version_id) REFERENCES workflows,
    CONSTRAINT orders_running_is_not_suspended CHECK (NOT (suspended AND state = 'RUNNING')),
    CONSTRAINT orders_terminal_is_at_rest CHECK (
        state NOT IN ('FINISHED', 'CANCELLED')
        OR (NOT suspended AND mark IS NULL AND kill_requested IS NULL)),
    CONSTRAINT orders_kill_has_mark CHECK (
        kill_requested IS NULL OR ifnull(mark, '') IN ('CANCELLING', 'SUSPENDING')),
    CONSTRAINT orders_kill_has_both_instants CHECK (
        (kill_requested IS NULL) = (sigkill_at IS NULL) AND ifnull(sigkill_at >= kill_requested, 1))
) STRICT, WITHOUT ROWID;

-- Over living orders only, so that history does not slow a selection.
CREATE INDEX orders_living_folder ON orders (controller_id, folder)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_living_workflow ON orders (controller_id, workflow_path, workflow_version_id)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_living_scheduled ON orders (controller_id, scheduled_for)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_living_state ON orders (controller_id, state)
    WHERE state NOT IN ('FINISHED', 'CANCELLED');
CREATE INDEX orders_living_children ON orders (controller_id, root_id, order_id)
    WHERE parent_id IS NOT NULL AND state NOT IN ('FINISHED', 'CANCELLED');
-- What executors look for: docs/executors.md.
CREATE INDEX orders_marked ON orders (controller_id, mark) WHERE mark IS NOT NULL;

CREATE TRIGGER orders_workflow_is_known BEFORE INSERT ON orders
WHEN NOT EXISTS (SELECT 1 FROM workflows w WHERE w.controller_id = NEW.controller_id
                 AND w.path = NEW.workflow_path AND w.version_id = NEW.workflow_version_id)
BEGIN SELECT RAISE(ABORT, 'the workflow of an order must be in workflows'); END;

CREATE TRIGGER orders_terminal_is_final
BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id,
    workflow_path, workflow_version_id ON orders
WHEN OLD.state IN ('FINISHED', 'CANCELLED')
BEGIN SELECT RAISE(ABORT, 'a terminal order is never changed'); END;

-- The instant that orders_effective speaks of. A connection of the service puts a TEMP table
-- of this name and a TEMP copy of orders_effective before them, and so asks the same rule for
-- the instant of a request.
CREATE VIEW clock AS SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now;

-- The one definition of the effective state.
CREATE VIEW orders_effective AS
SELECT o.*,
    CASE
        WHEN state IN ('FINISHED', 'CANCELLED') THEN state
        WHEN suspended THEN 'SUSPENDED'
        WHEN state <> 'FRESH' THEN state
        WHEN scheduled_for IS NULL THEN 'PENDING'
        WHEN scheduled_for >= (SELECT now FROM clock) THEN 'SCHEDULED'
        ELSE 'BLOCKED'
    END AS effective_state
FROM orders o;
