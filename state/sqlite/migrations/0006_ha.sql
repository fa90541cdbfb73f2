-- What is remembered of the HA group: state.HARecord as JSON. A lower term never takes the place of a higher one.
CREATE TABLE ha (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  term INTEGER NOT NULL,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
