-- The decisions of the HA group's machine on this node: state.Decision as JSON, the newest of them.
CREATE TABLE decision (
  id   INTEGER PRIMARY KEY AUTOINCREMENT,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
