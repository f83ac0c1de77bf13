-- Accounts, what they may do, and their sessions. These tables are small and belong to
-- no controller: a distributed database holds them as reference tables.

CREATE TABLE accounts (
    account text COLLATE "C" NOT NULL PRIMARY KEY
        CHECK (char_length(account) BETWEEN 1 AND 100 AND account !~ '[:[:cntrl:]]'),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    disabled boolean NOT NULL DEFAULT false,
    created timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE roles (
    role text COLLATE "C" NOT NULL PRIMARY KEY
        CHECK (char_length(role) BETWEEN 1 AND 100 AND role !~ '[[:cntrl:]]'),
    created timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE role_permissions (
    role text COLLATE "C" NOT NULL REFERENCES roles ON DELETE CASCADE,
    permission text COLLATE "C" NOT NULL CHECK (permission ~ '^sos:products(:[a-z_]+)*$'),
    -- '*' means every controller.
    controller_id text COLLATE "C" NOT NULL DEFAULT '*',
    PRIMARY KEY (role, permission, controller_id)
);

-- A role without a row here is not limited to folders.
CREATE TABLE role_folders (
    role text COLLATE "C" NOT NULL REFERENCES roles ON DELETE CASCADE,
    folder text COLLATE "C" NOT NULL CHECK (folder = '/' OR folder ~ '^(/[^/[:cntrl:]]+)+$'),
    recursive boolean NOT NULL DEFAULT true,
    PRIMARY KEY (role, folder)
);

CREATE TABLE account_roles (
    account text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    role text COLLATE "C" NOT NULL REFERENCES roles ON DELETE CASCADE,
    PRIMARY KEY (account, role)
);

CREATE TABLE sessions (
    -- SHA-256 of the access token, in hexadecimal digits: the token itself is not stored.
    token_hash text COLLATE "C" NOT NULL PRIMARY KEY CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    account text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created timestamptz(3) NOT NULL DEFAULT now(),
    expires timestamptz(3) NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires);
CREATE INDEX sessions_account ON sessions (account);

INSERT INTO roles (role) VALUES ('all');
INSERT INTO role_permissions (role, permission) VALUES ('all', 'sos:products');
