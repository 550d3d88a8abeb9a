-- The device's tables, version 4. Times are microseconds since 1970 in UTC; ids are the 16 bytes of a UUIDv7.
-- Personal values stand only in columns named `sealed`, closed by the vault; but for `visits.served_by`, a name that the owner
-- lets the staff be called by.

-- `changed`: the count of `upkeep.gallery` when anything of them last changed, which is what a gallery must read anew.
-- `past_visits`: those that count and whose rows were too old to be kept; `past_last_visit`: when the last of them began.
CREATE TABLE customers (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    sealed      BLOB NOT NULL, -- name, manners, language, tier, note
    enrolled_at INTEGER NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0,
    past_visits INTEGER NOT NULL DEFAULT 0,
    past_last_visit INTEGER
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
    served_by TEXT,
    CHECK ((closed_at IS NULL) = (closed_synchronised IS NULL))
) STRICT;
CREATE INDEX visits_of_customer ON visits (customer);
CREATE INDEX visits_open ON visits (id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX visits_entry ON visits (entry) WHERE entry IS NOT NULL;
CREATE INDEX visits_of_day ON visits (opened_at);

-- What was bought, as the point of sale said it last: number and sum in hundredths; `counter` where it named that, not the visit.
CREATE TABLE receipts (
    visit   BLOB PRIMARY KEY NOT NULL REFERENCES visits (id) ON DELETE CASCADE,
    number  TEXT NOT NULL,
    sum     INTEGER NOT NULL,
    counter TEXT,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_of_counter ON receipts (counter, number) WHERE counter IS NOT NULL;

-- What the company's CRM is told: one row each CRM that the box was ever pointed at. `identity` is empty until there is
-- one; what happened until then waits for it. The other columns are what delivery remembers over a restart.
CREATE TABLE targets (
    id            INTEGER PRIMARY KEY,
    identity      TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL CHECK (state IN ('current', 'former')),
    cursor        TEXT NOT NULL DEFAULT '',
    pulled_at     INTEGER, -- when changed cards were last asked for to the end
    last_success  INTEGER,
    failing_since INTEGER,
    blocked_until INTEGER,
    error_class   TEXT,
    error         TEXT,
    wakes         INTEGER NOT NULL DEFAULT 0,
    taken         INTEGER NOT NULL DEFAULT 0, -- visits that it ever took
    refused       INTEGER NOT NULL DEFAULT 0, -- refusals since it last took one
    other_key     TEXT, -- the fingerprint of another company key, and a contact that is marked under it
    other_key_on  TEXT
) STRICT;
CREATE UNIQUE INDEX targets_current ON targets (state) WHERE state = 'current';

-- What happened, in the order of `seq`, which is never used twice. Ids only, and no references: an erasure outlives its
-- customer, a correction the customer its visit was moved to. A fact never becomes another; facts leave with their
-- customer, or with a visit that is too old to be kept. `deliver_after` is NULL while the visit is open.
CREATE TABLE facts (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            BLOB NOT NULL UNIQUE CHECK (length(id) = 16), -- the key under which a CRM has it
    kind          TEXT NOT NULL CHECK (kind IN ('visit', 'correction', 'amendment', 'erasure')),
    customer      BLOB NOT NULL CHECK (length(customer) = 16),
    visit         BLOB CHECK (length(visit) = 16),
    about         BLOB CHECK (length(about) = 16), -- the visit's fact that a correction takes back, an amendment adds to
    at            INTEGER NOT NULL,
    deliver_after INTEGER,
    CHECK ((kind = 'erasure') = (visit IS NULL)),
    CHECK ((kind IN ('correction', 'amendment')) = (about IS NOT NULL))
) STRICT;
CREATE INDEX facts_of_customer ON facts (customer, seq);
CREATE INDEX facts_of_visit ON facts (visit);

-- A fact on its way to a target. new: to be sent (attempts > 0: was tried, may have arrived) · held: its customer's
-- consent does not cover it now · sending: a request is or was under way, in doubt after a restart · done: the target
-- confirmed it · dead: given up · withdrawn: not to be sent any more. A suspect is new, was refused, and `suspect_since`
-- says how many visits its target had taken then: it is given up only once the target has taken more.
CREATE TABLE deliveries (
    fact               INTEGER NOT NULL REFERENCES facts (seq),
    target             INTEGER NOT NULL REFERENCES targets (id),
    state              TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'held', 'sending', 'done', 'dead', 'withdrawn')),
    attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_attempt_at   INTEGER,
    attempt_started_at INTEGER,
    not_before         INTEGER, -- not tried again before
    last_error_class   TEXT,
    last_error         TEXT,    -- in our words, without anything personal
    suspect_since      INTEGER,
    sealed             BLOB,    -- of an erasure, until it is done: the contact and the records that this target must forget
    PRIMARY KEY (fact, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_state ON deliveries (target, state, fact);
CREATE INDEX deliveries_suspect ON deliveries (target, attempts, fact) WHERE suspect_since NOT NULL;

-- `seq` is the delivery's own column: what waits is read in its order without being sorted.
CREATE VIEW outbox AS
    SELECT d.fact AS seq, f.id AS event, f.kind, f.customer, f.visit, f.about, f.at AS created_at, f.deliver_after,
           d.target, d.state, d.attempts, d.first_attempt_at, d.attempt_started_at, d.not_before, d.last_error_class, d.last_error, d.suspect_since, d.sealed
    FROM deliveries d JOIN facts f ON f.seq = d.fact;

-- The ledger: what each target has of a customer, or may have. It outlives the visit; an erasure takes it along.
-- perhaps: sent, and not confirmed, whatever was answered · there · void: it stands there as taken back.
CREATE TABLE records (
    key        BLOB NOT NULL CHECK (length(key) = 16), -- the fact under whose id it was sent
    target     INTEGER NOT NULL REFERENCES targets (id),
    customer   BLOB NOT NULL CHECK (length(customer) = 16),
    state      TEXT NOT NULL CHECK (state IN ('perhaps', 'there', 'void')),
    record     TEXT,             -- the target's own id of it
    contact    TEXT,             -- the contact it was last written for
    elders     TEXT,             -- those it was written for before, a line each: without an answer it may stand there
    written_at INTEGER NOT NULL, -- the record is not older, by the box's clock
    tried_at   INTEGER NOT NULL, -- when the last try began, by the box's clock
    server_at  INTEGER,          -- when the first one began, by the target's clock, if that was known
    PRIMARY KEY (key, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_of_customer ON records (customer);

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

-- Which contact of a target a customer is, and what the target says of them. No row: not looked for yet.
CREATE TABLE crm_links (
    customer BLOB NOT NULL REFERENCES customers (id),
    target   INTEGER NOT NULL REFERENCES targets (id),
    state    TEXT NOT NULL CHECK (state IN ('linked', 'creating', 'marking', 'absent', 'unclear', 'lost', 'deleted')),
    contact  TEXT,
    tried_at INTEGER NOT NULL,
    why      TEXT, -- it is unclear
    vouched  INTEGER NOT NULL DEFAULT 0 CHECK (vouched IN (0, 1)), -- a person said that it is this contact, whatever its name
    about    TEXT, -- the contacts, one a line, that the state is about where there is none
    sealed   BLOB, -- the card that the target keeps of them
    as_of    INTEGER,
    tell_at  INTEGER DEFAULT 0, -- when what the contact is told of its visits is next to be counted
    told_at  INTEGER,
    told_contact TEXT, -- the contact that was told
    PRIMARY KEY (customer, target),
    UNIQUE (target, contact),
    CHECK ((state = 'linked') = (contact IS NOT NULL)),
    CHECK (state <> 'unclear' OR why IS NOT NULL),
    CHECK ((sealed IS NULL) = (as_of IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX crm_links_in_doubt ON crm_links (target) WHERE state IN ('absent', 'unclear', 'deleted');

INSERT INTO targets (id, identity, state) VALUES (1, '', 'current');
