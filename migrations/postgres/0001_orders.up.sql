-- Controllers, workflows and orders. docs/schema.md explains every column.
-- Text keys use the C collation: ranges over folders and ids then mean the same
-- everywhere, and an index serves them.

CREATE TABLE controllers (
    controller_id text COLLATE "C" NOT NULL PRIMARY KEY
        CHECK (char_length(controller_id) BETWEEN 1 AND 100
               AND controller_id !~ '[/\\<>?!&:;()"|*^[:cntrl:]]'),
    created timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE workflows (
    controller_id text COLLATE "C" NOT NULL REFERENCES controllers,
    path text COLLATE "C" NOT NULL
        CHECK (char_length(path) BETWEEN 2 AND 255 AND path ~ '^(/[^/[:cntrl:]]+)+$'),
    version_id text COLLATE "C" NOT NULL
        CHECK (char_length(version_id) BETWEEN 1 AND 255 AND version_id !~ '[[:cntrl:]]'),
    -- rtrim(path, every character of path but '/') ends with the last '/'.
    folder text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE rtrim(path, replace(path, '/', '')) WHEN '/' THEN '/'
        ELSE rtrim(rtrim(path, replace(path, '/', '')), '/') END) STORED,
    name text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        substr(path, char_length(rtrim(path, replace(path, '/', ''))) + 1)) STORED,
    created timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (controller_id, path, version_id)
);
CREATE INDEX workflows_name ON workflows (controller_id, name);
CREATE INDEX workflows_folder ON workflows (controller_id, folder);

CREATE TABLE orders (
    controller_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL
        CHECK (char_length(order_id) BETWEEN 1 AND 255
               AND order_id ~ '^[^|[:cntrl:]]+([|][^|[:cntrl:]]+)*$'),
    parent_id text COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN strpos(order_id, '|') > 0
        THEN rtrim(rtrim(order_id, replace(order_id, '|', '')), '|') END) STORED,
    -- The eldest ancestor's id; the order's own where it has none.
    root_id text COLLATE "C" NOT NULL GENERATED ALWAYS AS (split_part(order_id, '|', 1)) STORED,
    workflow_path text COLLATE "C" NOT NULL,
    workflow_version_id text COLLATE "C" NOT NULL,
    folder text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE rtrim(workflow_path, replace(workflow_path, '/', '')) WHEN '/' THEN '/'
        ELSE rtrim(rtrim(workflow_path, replace(workflow_path, '/', '')), '/') END) STORED,
    state text COLLATE "C" NOT NULL DEFAULT 'FRESH'
        CHECK (state IN ('FRESH', 'RUNNING', 'INPROGRESS', 'WAITING', 'PROMPTING', 'FAILED',
                         'FINISHED', 'CANCELLED')),
    suspended boolean NOT NULL DEFAULT false,
    mark text COLLATE "C" CHECK (mark IN ('CANCELLING', 'SUSPENDING', 'RESUMING')),
    scheduled_for timestamptz(3)
        CHECK (scheduled_for >= '0001-01-01T00:00:00Z' AND scheduled_for < '10000-01-01T00:00:00Z'),
    -- A kill request: SIGTERM is asked for since kill_requested, SIGKILL from sigkill_at on.
    kill_requested timestamptz(3),
    sigkill_at timestamptz(3),
    created timestamptz(3) NOT NULL DEFAULT now() CHECK (isfinite(created)),
    modified timestamptz(3) NOT NULL DEFAULT now() CHECK (isfinite(modified)),
    PRIMARY KEY (controller_id, order_id),
    FOREIGN KEY (controller_id, workflow_path, workflow_version_id) REFERENCES workflows,
    CONSTRAINT orders_running_is_not_suspended CHECK (NOT (suspended AND state = 'RUNNING')),
    CONSTRAINT orders_terminal_is_at_rest CHECK (
        state NOT IN ('FINISHED', 'CANCELLED')
        OR (NOT suspended AND mark IS NULL AND kill_requested IS NULL)),
    CONSTRAINT orders_kill_has_mark CHECK (
        kill_requested IS NULL OR coalesce(mark, '') IN ('CANCELLING', 'SUSPENDING')),
    CONSTRAINT orders_kill_has_both_instants CHECK (
        (kill_requested IS NULL) = (sigkill_at IS NULL) AND sigkill_at >= kill_requested)
);

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

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER orders_terminal_is_final
    BEFORE UPDATE OF state, suspended, mark, scheduled_for, kill_requested, sigkill_at,
        controller_id, order_id,
        workflow_path, workflow_version_id ON orders
    FOR EACH ROW WHEN (OLD.state IN ('FINISHED', 'CANCELLED'))
    EXECUTE FUNCTION refuse_change('a terminal order is never changed');

-- The one definition of the effective state: the view gives it for now, the service
-- asks for the instant of a request.
CREATE FUNCTION effective_state(
    state text, suspended boolean, scheduled_for timestamptz, at timestamptz
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN state IN ('FINISHED', 'CANCELLED') THEN state
        WHEN suspended THEN 'SUSPENDED'
        WHEN state <> 'FRESH' THEN state
        WHEN scheduled_for IS NULL THEN 'PENDING'
        WHEN scheduled_for >= at THEN 'SCHEDULED'
        ELSE 'BLOCKED'
    END
$$;

CREATE VIEW orders_effective AS
SELECT o.*, effective_state(o.state, o.suspended, o.scheduled_for, now()) AS effective_state
FROM orders o;
