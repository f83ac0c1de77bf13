DROP TABLE sessions;
DROP TABLE account_roles;
DROP TABLE role_folders;
DROP TABLE role_permissions;
DROP TABLE roles;
DROP TABLE accounts;
