-- From version 2 to 3: e-mail addresses, what delivery to the CRM needs, links to its contacts. The result is `schema.sql`.

ALTER TABLE identifiers RENAME TO identifiers_2;
DROP INDEX identifiers_of_customer;
CREATE TABLE identifiers (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    customer BLOB NOT NULL REFERENCES customers (id),
    kind     TEXT NOT NULL CHECK (kind IN ('card', 'phone', 'email')),
    blind    BLOB NOT NULL CHECK (length(blind) = 32),
    sealed   BLOB NOT NULL,
    UNIQUE (kind, blind)
) STRICT;
INSERT INTO identifiers SELECT id, customer, kind, blind, sealed FROM identifiers_2;
DROP TABLE identifiers_2;
CREATE INDEX identifiers_of_customer ON identifiers (customer);

ALTER TABLE outbox RENAME TO outbox_2;
DROP INDEX outbox_of_customer;
DROP INDEX outbox_of_visit;
DROP INDEX outbox_waiting;
CREATE TABLE outbox (
    seq                INTEGER PRIMARY KEY AUTOINCREMENT,
    event              BLOB NOT NULL UNIQUE CHECK (length(event) = 16),
    kind               TEXT NOT NULL CHECK (kind IN ('visit', 'visit_void', 'erasure')),
    customer           BLOB NOT NULL CHECK (length(customer) = 16),
    visit              BLOB CHECK (length(visit) = 16),
    about              BLOB CHECK (length(about) = 16), -- the visit's event that a void takes back
    created_at         INTEGER NOT NULL,
    deliver_after      INTEGER,
    state              TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'sending', 'done', 'dead')),
    attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_attempt_at   INTEGER,
    attempt_started_at INTEGER,
    not_before         INTEGER, -- not tried again before
    last_error_class   TEXT,
    last_error         TEXT,    -- in our words, without anything personal
    record             TEXT,    -- the CRM's own id of what it has
    sealed             BLOB,    -- of an erasure, until it is done: the contact and the records to be forgotten
    CHECK ((kind = 'erasure') = (visit IS NULL))
) STRICT;
INSERT INTO outbox (seq, event, kind, customer, visit, created_at, deliver_after, state, attempts, first_attempt_at, attempt_started_at, last_error_class)
    SELECT seq, event, kind, customer, visit, created_at, deliver_after, state, attempts, attempt_started_at, attempt_started_at, last_error_class FROM outbox_2;
-- No number is used twice, also if the last rows were removed.
DELETE FROM sqlite_sequence WHERE name = 'outbox';
INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', seq FROM sqlite_sequence WHERE name = 'outbox_2';
DROP TABLE outbox_2;
CREATE INDEX outbox_of_customer ON outbox (customer, seq);
CREATE INDEX outbox_of_visit ON outbox (visit);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE state <> 'done';

-- Which contact of the CRM a customer is, and what the CRM says of them. No row: not looked for yet.
CREATE TABLE crm_links (
    customer BLOB PRIMARY KEY NOT NULL REFERENCES customers (id),
    state    TEXT NOT NULL CHECK (state IN ('linked', 'creating', 'absent', 'unclear')),
    contact  TEXT UNIQUE,
    tried_at INTEGER NOT NULL,
    sealed   BLOB, -- the CRM's card
    as_of    INTEGER,
    CHECK ((state = 'linked') = (contact IS NOT NULL)),
    CHECK ((sealed IS NULL) = (as_of IS NULL))
) STRICT;

-- One row: what delivery remembers over a restart. `target` names the CRM that links and cursor belong to.
CREATE TABLE sync_state (
    only          INTEGER PRIMARY KEY CHECK (only = 1),
    target        TEXT NOT NULL,
    cursor        TEXT NOT NULL,
    pulled_at     INTEGER, -- when changed cards were last asked for to the end
    last_success  INTEGER,
    failing_since INTEGER,
    blocked_until INTEGER,
    error_class   TEXT,
    error         TEXT,
    wakes         INTEGER NOT NULL
) STRICT;
INSERT INTO sync_state (only, target, cursor, wakes) VALUES (1, '', '', 0);
