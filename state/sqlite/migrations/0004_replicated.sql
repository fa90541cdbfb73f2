-- What is remembered of each replication, by name: state.Replicated as JSON.
CREATE TABLE replicated (
  name TEXT PRIMARY KEY CHECK (name <> ''),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT, WITHOUT ROWID;
