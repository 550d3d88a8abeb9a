-- The device's tables, version 4. Times are microseconds since 1970 in UTC; ids are the 16 bytes of a UUIDv7.
-- Personal values stand only in columns named `sealed`, closed by the vault.

-- `changed`: the count of `upkeep.gallery` when anything of them last changed, which is what a gallery must read anew.
CREATE TABLE customers (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    sealed      BLOB NOT NULL, -- name, manners, language, tier, note
    enrolled_at INTEGER NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX customers_changed ON customers (changed);

-- Append-only while the customer is enrolled; the newest row says what holds.
CREATE TABLE consents (
    id          INTEGER PRIMARY KEY,
    customer    BLOB NOT NULL REFERENCES customers (id),
    act         TEXT NOT NULL CHECK (act IN ('grant', 'withdrawal')),
    recorded_at INTEGER NOT NULL,
    given_on    TEXT,
    method      TEXT,
    purposes    TEXT, -- separated by commas
    valid_until TEXT,
    CHECK (act = 'withdrawal' OR (given_on IS NOT NULL AND method IS NOT NULL AND purposes IS NOT NULL))
) STRICT;
CREATE INDEX consents_of_customer ON consents (customer);

CREATE TABLE templates (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    customer BLOB NOT NULL REFERENCES customers (id),
    pack     TEXT NOT NULL,
    quality  REAL NOT NULL,
    made_at  INTEGER NOT NULL,
    sealed   BLOB NOT NULL -- the embedding, f32 little-endian
) STRICT;
CREATE INDEX templates_of_customer ON templates (customer);

-- Cards, phones and e-mail addresses of customers. `blind` finds one that is given at the counter, `sealed` says what it is; both
-- hang on the device key.
CREATE TABLE identifiers (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    customer BLOB NOT NULL REFERENCES customers (id),
    kind     TEXT NOT NULL CHECK (kind IN ('card', 'phone', 'email')),
    blind    BLOB NOT NULL CHECK (length(blind) = 32),
    sealed   BLOB NOT NULL,
    UNIQUE (kind, blind)
) STRICT;
CREATE INDEX identifiers_of_customer ON identifiers (customer);

-- `seen_at`: when the customer of an open visit was last seen, written now and then; `boot` is the machine's start
-- during which that was, `seen_after_ms` how long after it, by a clock that nobody sets. `entry` is the key under which
-- a card was given, so that one that is given twice is one.
CREATE TABLE visits (
    id                  BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    customer            BLOB NOT NULL REFERENCES customers (id),
    counter             TEXT NOT NULL,
    opened_at           INTEGER NOT NULL,
    opened_synchronised INTEGER NOT NULL CHECK (opened_synchronised IN (0, 1)),
    how                 TEXT NOT NULL CHECK (how IN ('match', 'confirmed', 'entered')),
    closed_at           INTEGER,
    closed_synchronised INTEGER CHECK (closed_synchronised IN (0, 1)),
    verdict             TEXT NOT NULL DEFAULT 'none' CHECK (verdict IN ('none', 'confirmed', 'rejected', 'other')),
    seen_at INTEGER,
    boot TEXT,
    seen_after_ms INTEGER,
    entry BLOB CHECK (length(entry) = 16),
    CHECK ((closed_at IS NULL) = (closed_synchronised IS NULL))
) STRICT;
CREATE INDEX visits_of_customer ON visits (customer);
CREATE INDEX visits_open ON visits (id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX visits_entry ON visits (entry) WHERE entry IS NOT NULL;

-- Events on their way to the CRM, in the order of `seq`, which is never used twice. Ids only, and no references:
-- an erasure outlives its customer, a `visit_void` the customer its visit was moved to. `deliver_after` is NULL while the visit is open.
-- new: to be sent (attempts > 0: was tried, may have arrived) · sending: a request is or was under way, in doubt
-- after a restart · done: the CRM confirmed it · dead: given up; refused as poison it is not there.
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
CREATE INDEX outbox_of_customer ON outbox (customer, seq);
CREATE INDEX outbox_of_visit ON outbox (visit);
CREATE INDEX outbox_waiting ON outbox (seq) WHERE state <> 'done';

-- One row. `box` is this box, for a centre that hears of many, minted once; `floor` a time that is known to have passed,
-- `believed` what the clock said when it was last plausible, `accepted` when the owner last said that it is right, `heard` what a
-- CRM's clock said; `boot` is the machine's start during which all that was so, `kept_after_ms` after it;
-- `canary` is sealed with the device key and tells whether it is still the same. `gallery` counts changes of customers, consents and templates; erasures whose traces in the files
-- are not yet overwritten are those between `scrubbed` and `erasures`.
CREATE TABLE upkeep (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    gallery  INTEGER NOT NULL,
    erasures INTEGER NOT NULL,
    scrubbed INTEGER NOT NULL,
    box BLOB CHECK (length(box) = 16),
    floor INTEGER,
    canary BLOB,
    believed INTEGER,
    accepted INTEGER,
    heard INTEGER,
    boot TEXT,
    kept_after_ms INTEGER
) STRICT;
INSERT INTO upkeep (only, gallery, erasures, scrubbed) VALUES (1, 0, 0, 0);

-- Passwords of cameras and the like, sealed with the device key.
CREATE TABLE secrets (
    name   TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

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
