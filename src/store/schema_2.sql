-- From version 1 to 2: cards and phones, secrets, and visits opened by them. The result is `schema.sql`.

ALTER TABLE visits RENAME TO visits_1;
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
    CHECK ((closed_at IS NULL) = (closed_synchronised IS NULL))
) STRICT;
INSERT INTO visits (id, customer, counter, opened_at, opened_synchronised, how, closed_at, closed_synchronised, verdict)
    SELECT id, customer, counter, opened_at, opened_synchronised, how, closed_at, closed_synchronised, verdict FROM visits_1;
DROP TABLE visits_1;
CREATE INDEX visits_of_customer ON visits (customer);
CREATE INDEX visits_open ON visits (id) WHERE closed_at IS NULL;

CREATE TABLE identifiers (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    customer BLOB NOT NULL REFERENCES customers (id),
    kind     TEXT NOT NULL CHECK (kind IN ('card', 'phone')),
    blind    BLOB NOT NULL CHECK (length(blind) = 32),
    sealed   BLOB NOT NULL,
    UNIQUE (kind, blind)
) STRICT;
CREATE INDEX identifiers_of_customer ON identifiers (customer);

CREATE TABLE secrets (
    name   TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
