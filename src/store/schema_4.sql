-- From version 3 to 4: what a box remembers of itself, and of visits that are open; facts, their deliveries, and a ledger
-- of what each CRM has, in place of one outbox for all. The result is `schema.sql`.

ALTER TABLE customers ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN past_visits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN past_last_visit INTEGER;
CREATE INDEX customers_changed ON customers (changed);

ALTER TABLE visits ADD COLUMN seen_at INTEGER;
ALTER TABLE visits ADD COLUMN boot TEXT;
ALTER TABLE visits ADD COLUMN seen_after_ms INTEGER;
ALTER TABLE visits ADD COLUMN entry BLOB CHECK (length(entry) = 16);
ALTER TABLE visits ADD COLUMN served_by TEXT;
CREATE UNIQUE INDEX visits_entry ON visits (entry) WHERE entry IS NOT NULL;
CREATE INDEX visits_of_day ON visits (opened_at);

ALTER TABLE upkeep ADD COLUMN box BLOB CHECK (length(box) = 16);
ALTER TABLE upkeep ADD COLUMN floor INTEGER;
ALTER TABLE upkeep ADD COLUMN canary BLOB;
ALTER TABLE upkeep ADD COLUMN believed INTEGER;
ALTER TABLE upkeep ADD COLUMN accepted INTEGER;
ALTER TABLE upkeep ADD COLUMN heard INTEGER;
ALTER TABLE upkeep ADD COLUMN boot TEXT;
ALTER TABLE upkeep ADD COLUMN kept_after_ms INTEGER;

ALTER TABLE outbox RENAME TO outbox_3;
ALTER TABLE crm_links RENAME TO crm_links_3;

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

INSERT INTO targets (id, identity, state, cursor, pulled_at, last_success, failing_since, blocked_until, error_class, error, wakes)
    SELECT 1, target, 'current', cursor, pulled_at, last_success, failing_since, blocked_until, error_class, error, wakes FROM sync_state;
DROP TABLE sync_state;
INSERT INTO crm_links (customer, target, state, contact, tried_at, why, sealed, as_of)
    SELECT customer, 1, state, contact, tried_at, iif(state = 'unclear', 'several', NULL), sealed, as_of FROM crm_links_3;
DROP TABLE crm_links_3;

-- A void that is about no other event was a visit once, and took itself back: the visit was sent under its id.
INSERT INTO facts (seq, id, kind, customer, visit, about, at, deliver_after)
    SELECT seq, event, CASE WHEN kind = 'visit_void' AND about IS NULL THEN 'visit'
                            WHEN kind = 'visit_void' THEN 'correction' ELSE kind END,
           customer, visit, about, created_at, deliver_after FROM outbox_3;
INSERT INTO deliveries (fact, target, state, attempts, first_attempt_at, attempt_started_at, not_before, last_error_class, last_error, sealed)
    SELECT seq, 1, iif(kind = 'visit_void' AND about IS NULL, 'withdrawn', state), attempts, first_attempt_at,
           attempt_started_at, not_before, last_error_class, last_error, sealed FROM outbox_3;
-- What was sent, or perhaps sent, the CRM has or may have.
INSERT INTO records (key, target, customer, state, record, contact, written_at, tried_at)
    SELECT o.event, 1, o.customer,
           CASE WHEN EXISTS (SELECT 1 FROM outbox_3 v WHERE v.kind = 'visit_void' AND v.state = 'done'
                             AND coalesce(v.about, v.event) = o.event) THEN 'void'
                WHEN o.kind = 'visit' AND o.state = 'done' THEN 'there' ELSE 'perhaps' END,
           o.record, (SELECT contact FROM crm_links l WHERE l.customer = o.customer), o.created_at,
           coalesce(o.attempt_started_at, o.created_at)
    FROM outbox_3 o
    WHERE (o.kind = 'visit' OR o.kind = 'visit_void' AND o.about IS NULL)
      AND (o.attempts > 0 OR o.state NOT IN ('new', 'dead'));
-- No number is used twice, also if the last rows were removed.
DELETE FROM sqlite_sequence WHERE name = 'facts';
INSERT INTO sqlite_sequence (name, seq) SELECT 'facts', seq FROM sqlite_sequence WHERE name = 'outbox_3';
-- The taking back, under an id of its own: the time and the version of the visit's, and another end.
INSERT INTO facts (id, kind, customer, visit, about, at, deliver_after)
    SELECT unhex(hex(substr(event, 1, 9)) || hex(randomblob(7))), 'correction', customer, visit, event, created_at, deliver_after
    FROM outbox_3 WHERE kind = 'visit_void' AND about IS NULL ORDER BY seq;
INSERT INTO deliveries (fact, target, state, last_error_class, last_error)
    SELECT f.seq, 1, iif(o.state = 'sending', 'new', o.state), o.last_error_class, o.last_error
    FROM outbox_3 o JOIN facts f ON f.about = o.event WHERE o.kind = 'visit_void' AND o.about IS NULL;
DROP TABLE outbox_3;
