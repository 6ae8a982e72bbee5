-- The ledger: every fact and the running totals, changed together in one transaction. Read it with plain SQL while
-- no runtime lives on it. Amounts are in the unit of the ledger (meta), moments microseconds since 1970 UTC. NULL: not
-- said, or of other events. Dollars: printf('%d.%09d', total_used / 1000000000, total_used % 1000000000).

PRAGMA application_id = 0x48474154; -- "HGAT"
PRAGMA user_version = 3;

CREATE TABLE meta(
  -- What is true of the file as a whole: ledger_id (a UUID), opening (how often a runtime has opened it), unit (tokens, or
  -- nanodollars: 10^-9 US dollars; it never changes), policies (of the newest opening, in the words of the configuration).
  key   TEXT NOT NULL PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE token_budget(
  -- The running totals of each budget, those of the budgets below it included.
  name             TEXT NOT NULL PRIMARY KEY,
  parent           TEXT,                       -- NULL: the root
  total_used       INTEGER NOT NULL DEFAULT 0, -- settled for good: used_delta of journal and fold, summed
  reserved         INTEGER NOT NULL DEFAULT 0, -- promised to open permits
  hard_limit       INTEGER NOT NULL,           -- in force
  configured_limit INTEGER NOT NULL,           -- what the configuration said last
  throttled        INTEGER NOT NULL DEFAULT 0, -- 1: over the threshold, not below the clear point since
  updated_at       TEXT NOT NULL               -- ISO 8601, UTC: when its figures changed last
) STRICT;

CREATE TABLE journal(
  -- Every fact, in order; rows are only ever appended. This is the event log that subscribers hear. A column stands here
  -- or in journal_detail: a field of an event (schemas/messages.def) goes where a column of its name is.
  seq    INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  event  TEXT NOT NULL,
  prev   INTEGER NOT NULL, -- the newest earlier row of the same event; 0: none
  budget TEXT NOT NULL,
  task_id TEXT, permit INTEGER, attempt INTEGER, parent INTEGER,
  used_delta INTEGER, reserved_delta INTEGER, -- added to the budget and to all above it
  from_parent INTEGER, to_parent INTEGER, -- reserved tokens that moved between a permit and its parent
  used INTEGER, reserved INTEGER, hard_limit INTEGER, -- of the budget, after this row
  reason TEXT, usage_id TEXT, reporter TEXT, number INTEGER
) STRICT;

CREATE TABLE journal_detail(
  -- What most rows do not say, so that the others need not carry it: of each row that says any of it, under its number.
  seq INTEGER PRIMARY KEY,
  model TEXT, response_id TEXT,
  input_tokens INTEGER, cached_tokens INTEGER, cache_write_tokens INTEGER,
  output_tokens INTEGER, reasoning_tokens INTEGER,
  source TEXT, -- of the figure: estimated, missing; NULL: exact
  late INTEGER, -- 1: it replaced the guess of an orphan
  policy TEXT,
  over_by INTEGER, needed INTEGER, available INTEGER, previous_limit INTEGER,
  from_count INTEGER, to_count INTEGER, usage_percent INTEGER, -- hundredths: 9050 is 90.50 %
  throttled INTEGER, max_concurrency INTEGER, open_permits INTEGER, orphans INTEGER, version TEXT, unit TEXT, lasted_us INTEGER,
  audited INTEGER, audited_rows INTEGER, differences INTEGER
) STRICT;

-- All that an event said. Sums over the journal's own columns are quicker from the journal: they never look for details.
CREATE VIEW event AS SELECT * FROM journal LEFT JOIN journal_detail USING (seq);

CREATE TABLE reservation(
  -- Every permit: what it reserved and how it ended.
  id      INTEGER PRIMARY KEY,
  budget  TEXT NOT NULL,
  task_id TEXT,
  tokens  INTEGER NOT NULL CHECK (tokens >= 0), -- reserved by it alone: without what nested permits took out of it
  state   TEXT NOT NULL CHECK (state = 'open' OR state = 'kept' OR state = 'orphaned' OR state = 'settled' OR state = 'released'),
                                -- kept: its owner is gone, still reserved; orphaned: no longer, and `used` is a guess until settled
  used    INTEGER NOT NULL DEFAULT 0, -- charged for it so far
  attempt INTEGER,
  seq     INTEGER NOT NULL            -- the journal row that changed it last
) STRICT;
-- What an opening has to read: few rows, however many there are in all. (Without IN, for which
-- SQLite would build a small tree at each write.)
CREATE INDEX reservation_unsettled ON reservation(id) WHERE state = 'open' OR state = 'kept' OR state = 'orphaned';

CREATE TABLE topic(
  -- The newest journal row of each event.
  name     TEXT NOT NULL PRIMARY KEY,
  last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reporter(
  -- Who numbers its commands under a lasting name, and the newest number that was taken: each command counts once.
  id          TEXT NOT NULL PRIMARY KEY,
  last_number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_id(
  -- Records and corrections that brought an id of their own: the same id with the same content counts once.
  key          TEXT NOT NULL PRIMARY KEY,
  seq          INTEGER NOT NULL, -- its journal row
  content_hash INTEGER NOT NULL  -- of what that row says
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_id_seq ON usage_id(seq); -- they go with their rows

CREATE TABLE fold(
  -- What journal rows of the budget that were removed by age had added to total_used and reserved.
  budget   TEXT NOT NULL PRIMARY KEY,
  used     INTEGER NOT NULL,
  reserved INTEGER NOT NULL, -- 0 but while the rows of a permit are being folded
  upto     INTEGER NOT NULL  -- the newest row that was folded
) STRICT, WITHOUT ROWID;
