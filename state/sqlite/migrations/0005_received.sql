-- Which snapshots each replication received, by the guid of their source: state.Received as JSON.
CREATE TABLE received (
  replication TEXT NOT NULL CHECK (replication <> ''),
  source      TEXT NOT NULL CHECK (source <> ''),
  body        TEXT NOT NULL CHECK (json_valid(body)),
  PRIMARY KEY (replication, source)
) STRICT, WITHOUT ROWID;

-- Moves with every write of the above, so that who has read it need not read it again.
CREATE TABLE received_version (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  n   INTEGER NOT NULL
) STRICT;
INSERT INTO received_version VALUES (1, 1);

-- What each replication keeps on its target, and kept before: state.Kept as JSON.
CREATE TABLE kept (
  replication TEXT PRIMARY KEY CHECK (replication <> ''),
  body        TEXT NOT NULL CHECK (json_valid(body))
) STRICT, WITHOUT ROWID;
