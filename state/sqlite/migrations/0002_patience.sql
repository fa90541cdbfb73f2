-- What the loop learned of objects that fail and of values that somebody else keeps setting: a daemon that starts
-- again neither hammers nor fights anew.
CREATE TABLE patience (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
