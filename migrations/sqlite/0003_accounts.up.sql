-- Accounts, what they may do, and their sessions.

CREATE TABLE accounts (
    account TEXT NOT NULL PRIMARY KEY
        CHECK (length(account) BETWEEN 1 AND 100 AND instr(account, char(0)) = 0
               AND account NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*' AND instr(account, ':') = 0),
    password_hash TEXT NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*')
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    role TEXT NOT NULL PRIMARY KEY
        CHECK (length(role) BETWEEN 1 AND 100 AND instr(role, char(0)) = 0
               AND role NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'),
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*')
) STRICT, WITHOUT ROWID;

CREATE TABLE role_permissions (
    role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,
    permission TEXT NOT NULL
        CHECK ((permission = 'sos:products' OR permission GLOB 'sos:products:[a-z_]*')
               AND permission NOT GLOB '*[^a-z_:]*' AND instr(permission, '::') = 0
               AND substr(permission, -1) <> ':'),
    -- '*' means every controller.
    controller_id TEXT NOT NULL DEFAULT '*',
    PRIMARY KEY (role, permission, controller_id)
) STRICT, WITHOUT ROWID;

-- A role without a row here is not limited to folders.
CREATE TABLE role_folders (
    role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,
    folder TEXT NOT NULL
        CHECK (folder = '/' OR (length(folder) BETWEEN 2 AND 255 AND instr(folder, char(0)) = 0
               AND folder NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || ']*'
               AND substr(folder, 1, 1) = '/' AND substr(folder, -1) <> '/' AND instr(folder, '//') = 0)),
    recursive INTEGER NOT NULL DEFAULT 1 CHECK (recursive IN (0, 1)),
    PRIMARY KEY (role, folder)
) STRICT, WITHOUT ROWID;

CREATE TABLE account_roles (
    account TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,
    role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,
    PRIMARY KEY (account, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    -- SHA-256 of the access token, in hexadecimal digits: the token itself is not stored.
    token_hash TEXT NOT NULL PRIMARY KEY
        CHECK (length(token_hash) = 64 AND token_hash NOT GLOB '*[^0-9a-f]*'),
    account TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
        CHECK (created IS strftime('%Y-%m-%dT%H:%M:%fZ', created) AND created >= '0001' AND created NOT GLOB '*T24*'),
    expires TEXT NOT NULL
        CHECK (expires IS strftime('%Y-%m-%dT%H:%M:%fZ', expires) AND expires >= '0001' AND expires NOT GLOB '*T24*')
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_account ON sessions (account);

INSERT INTO roles (role) VALUES ('all');
INSERT INTO role_permissions (role, permission) VALUES ('all', 'sos:products');
