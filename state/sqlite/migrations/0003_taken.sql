-- What dplane took of datasets that a schedule covers, by the dataset's guid: state.Taken as JSON.
CREATE TABLE taken (
  dataset TEXT PRIMARY KEY CHECK (dataset <> ''),
  body    TEXT NOT NULL CHECK (json_valid(body))
) STRICT, WITHOUT ROWID;

-- Moves with every write of the above, so that who has read it need not read it again.
CREATE TABLE taken_version (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  n   INTEGER NOT NULL
) STRICT;
INSERT INTO taken_version VALUES (1, 1);
