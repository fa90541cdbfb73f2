-- The memory of one machine. Times are nanoseconds since 1970 (UTC); bodies are JSON.

CREATE TABLE generation (
  number    INTEGER PRIMARY KEY AUTOINCREMENT,
  hash      TEXT NOT NULL CHECK (hash <> ''),
  at        INTEGER NOT NULL,
  who       TEXT NOT NULL,
  commit_id TEXT NOT NULL,
  dirty     INTEGER NOT NULL CHECK (dirty IN (0, 1)),
  files     TEXT NOT NULL CHECK (json_valid(files))
) STRICT;

-- The journal. An action is one row: its intent, completed by its outcome. outcome is NULL where the
-- event is no action.
CREATE TABLE event (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  type       TEXT NOT NULL CHECK (type <> ''),
  level      TEXT NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
  generation TEXT NOT NULL,
  message    TEXT NOT NULL,
  action     TEXT NOT NULL DEFAULT '',
  kind       TEXT NOT NULL DEFAULT '',
  name       TEXT NOT NULL DEFAULT '',
  verb       TEXT NOT NULL DEFAULT '',
  risk       TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT '',
  commands   TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(commands)),
  outcome    TEXT CHECK (outcome IN ('started', 'done', 'failed', 'refused', 'skipped', 'interrupted')),
  error      TEXT NOT NULL DEFAULT '',
  started    INTEGER,
  ended      INTEGER,
  by         TEXT NOT NULL DEFAULT '',
  allowed    INTEGER NOT NULL DEFAULT 0 CHECK (allowed IN (0, 1)),
  CHECK ((outcome IS NULL) = (started IS NULL)),
  CHECK (outcome IS NULL OR (kind <> '' AND name <> '' AND verb <> ''))
) STRICT;
CREATE INDEX event_at ON event (at);
CREATE INDEX event_unsettled ON event (id) WHERE outcome = 'started';

-- What people search for. The text itself stays in event; the triggers keep the index in step.
CREATE VIRTUAL TABLE event_text USING fts5 (
  message, name, verb, error,
  content = 'event', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER event_text_insert AFTER INSERT ON event BEGIN
  INSERT INTO event_text (rowid, message, name, verb, error)
  VALUES (new.id, new.message, new.name, new.verb, new.error);
END;
CREATE TRIGGER event_text_delete AFTER DELETE ON event BEGIN
  INSERT INTO event_text (event_text, rowid, message, name, verb, error)
  VALUES ('delete', old.id, old.message, old.name, old.verb, old.error);
END;
CREATE TRIGGER event_text_update AFTER UPDATE OF message, name, verb, error ON event BEGIN
  INSERT INTO event_text (event_text, rowid, message, name, verb, error)
  VALUES ('delete', old.id, old.message, old.name, old.verb, old.error);
  INSERT INTO event_text (rowid, message, name, verb, error)
  VALUES (new.id, new.message, new.name, new.verb, new.error);
END;

-- How many actions ever ended how: a counter that pruning the journal does not lower.
CREATE TABLE outcome_total (
  outcome TEXT PRIMARY KEY,
  n       INTEGER NOT NULL CHECK (n > 0)
) STRICT;
CREATE TRIGGER outcome_total_insert AFTER INSERT ON event
WHEN new.outcome IS NOT NULL AND new.outcome <> 'started' BEGIN
  INSERT INTO outcome_total VALUES (new.outcome, 1) ON CONFLICT (outcome) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER outcome_total_settle AFTER UPDATE OF outcome ON event
WHEN old.outcome = 'started' AND new.outcome <> 'started' BEGIN
  INSERT INTO outcome_total VALUES (new.outcome, 1) ON CONFLICT (outcome) DO UPDATE SET n = n + 1;
END;

-- Pools and datasets, each row rewritten only where its body changed. A missing object stays, as memory:
-- guid is the one it was first known by, also where another object took its name since. missing is when
-- it was last seen, NULL while it is there (then it was seen in the last pass: pass.at).
CREATE TABLE observed (
  kind    TEXT NOT NULL CHECK (kind IN ('pool', 'dataset')),
  name    TEXT NOT NULL CHECK (name <> ''),
  guid    TEXT NOT NULL CHECK (guid <> ''),
  hash    TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  first   INTEGER NOT NULL,
  missing INTEGER,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- The newest pass over the machine.
CREATE TABLE pass (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at  INTEGER NOT NULL
) STRICT;

-- The newest reconcile. What is long stands in record_part, each part rewritten only where it changed.
CREATE TABLE record (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  at         INTEGER NOT NULL,
  generation TEXT NOT NULL,
  interval   INTEGER NOT NULL CHECK (interval >= 0),
  observed   INTEGER,
  errors     TEXT NOT NULL CHECK (json_valid(errors)),
  invalid    TEXT NOT NULL
) STRICT;
CREATE TABLE record_part (
  name TEXT PRIMARY KEY CHECK (name IN ('observed', 'plan', 'declared')),
  hash TEXT NOT NULL,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE TABLE plan_used (
  hash TEXT PRIMARY KEY CHECK (hash <> ''),
  at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
