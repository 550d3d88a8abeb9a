-- From version 3 to 4: what a box remembers of itself, and of visits that are open. The result is `schema.sql`.

ALTER TABLE customers ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX customers_changed ON customers (changed);

ALTER TABLE visits ADD COLUMN seen_at INTEGER;
ALTER TABLE visits ADD COLUMN boot TEXT;
ALTER TABLE visits ADD COLUMN seen_after_ms INTEGER;
ALTER TABLE visits ADD COLUMN entry BLOB CHECK (length(entry) = 16);
CREATE UNIQUE INDEX visits_entry ON visits (entry) WHERE entry IS NOT NULL;

ALTER TABLE upkeep ADD COLUMN box BLOB CHECK (length(box) = 16);
ALTER TABLE upkeep ADD COLUMN floor INTEGER;
ALTER TABLE upkeep ADD COLUMN canary BLOB;
ALTER TABLE upkeep ADD COLUMN believed INTEGER;
ALTER TABLE upkeep ADD COLUMN accepted INTEGER;
ALTER TABLE upkeep ADD COLUMN heard INTEGER;
ALTER TABLE upkeep ADD COLUMN boot TEXT;
ALTER TABLE upkeep ADD COLUMN kept_after_ms INTEGER;
