/**
 * The event log in PostgreSQL: a table of events, one of owners, and the function that one commit calls.
 *
 * The version of a stream and the head of the log are the ends of two indexes, so that there is no second place which
 * could say otherwise, and no row that every append would have to write anew.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import * as Chain from "../Chain.ts"

/** Notified with the position of the newest event, in the transaction that commits it. */
export const channel = "makima_events"

/**
 * What `expected` says to the function: a version, or one of these. `none` is version 0, and `never` is a number that
 * no stream is ever at.
 */
export const expectedCodes = { any: -1, exists: -2, none: 0, never: -3 } as const

/** What `part_epochs` says to the function where anybody may append. */
export const anyEpoch = -1

/** Whoever appends holds this lock, and nobody else in this database has a reason to; it reads "elog". */
export const appendLockKey = 0x656c6f67

// `data` is text and not json: what JSON.stringify writes must come back as it is, and PostgreSQL has nothing to add.
const createTables = [
  `CREATE TABLE events (
    position bigint PRIMARY KEY,
    at bigint NOT NULL,
    version integer NOT NULL,
    schema_version integer NOT NULL,
    stream text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    command_id text,
    correlation_id text,
    causation_id text,
    hash bytea NOT NULL,
    data text NOT NULL,
    UNIQUE (stream, version)
  )`,
  `CREATE TABLE stream_owners (
    stream text COLLATE "C" PRIMARY KEY,
    epoch integer NOT NULL,
    owner text NOT NULL
  )`
]

/**
 * Commits a group of claims and appends, the claims first. A claim that comes twice in the group gives two epochs.
 *
 * An append has parts, one a stream; a part has events. Everything comes as flat arrays: parts name their append and
 * events their part, counted from 1; `part_starts` is how many events are in the parts before, and `contents` has what
 * each event adds to the hash chain, 32 bytes each. Parts are in rounds, of which `round_ends` has the last parts. A
 * round has each stream at most once, so that one statement serves all of it; an append to a stream that an earlier one
 * in the group is about is in a later round.
 *
 * Appends and claimed streams may have a guard: a stream, by its place in `guard_streams`, and the epoch that it has to
 * be in; 0 is none. A whole process has the same one as a rule, so that it is looked up once a commit.
 *
 * Answers, for each part, with the version its stream was at and its epoch, and with the position before its first event,
 * which is null where the append was refused; with the hashes of the events, null where the append was refused; with the
 * epochs of the claims, null where one was refused; and with the epochs of the guards. What is refused writes nothing, and
 * the others do not notice.
 */
const createFunction = `
CREATE FUNCTION append_events(
  round_ends integer[],
  part_appends integer[], part_streams text[], part_expected integer[], part_epochs integer[],
  part_starts integer[], part_counts integer[],
  event_parts integer[], event_types text[], event_versions integer[], event_data text[], contents bytea,
  append_times bigint[], command_ids text[], correlation_ids text[], causation_ids text[],
  claimed_streams text[], claimants text[],
  guard_streams text[], append_guards integer[], append_guard_epochs integer[],
  claim_guards integer[], claim_guard_epochs integer[],
  OUT actuals integer[], OUT currents integer[], OUT befores bigint[], OUT hashes bytea[], OUT epochs integer[],
  OUT guards integer[]
)
LANGUAGE plpgsql
-- The plans that are right for a log of any size, made once a connection.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
  head bigint;
  head_before bigint;
  round_start integer := 1;
  round_end integer;
  round_versions integer[];
  round_epochs integer[];
  round_hashes bytea[];
  part integer;
  next_append integer;
  guard integer;
  accepted boolean;
  hash bytea;
BEGIN
  -- Held until the commit is visible: positions have no gaps and grow in the order of the commits, whoever commits.
  PERFORM pg_advisory_xact_lock(${appendLockKey});
  guards := epochs_of(guard_streams);
  IF cardinality(claimed_streams) > 0 THEN
    epochs := claim_streams(claimed_streams, claimants, (
      SELECT array_agg(c.guard = 0 OR guards[c.guard] = c.epoch ORDER BY c.number)
      FROM unnest(claim_guards, claim_guard_epochs) WITH ORDINALITY AS c (guard, epoch, number)
    ));
    guards := epochs_of(guard_streams);
  END IF;

  SELECT coalesce(max(e.position), 0) INTO head_before FROM events e;
  head := head_before;
  FOREACH round_end IN ARRAY round_ends LOOP
    IF round_start = round_end THEN
      -- The same for a single part, which is what most commits are, in a third of the time.
      SELECT ARRAY[e.version], ARRAY[e.hash] INTO round_versions, round_hashes
      FROM events e WHERE e.stream = part_streams[round_end] ORDER BY e.version DESC LIMIT 1;
      IF NOT FOUND THEN
        round_versions := ARRAY[0];
        round_hashes := ARRAY['\\x${Chain.start}'::bytea];
      END IF;
      round_epochs := ARRAY[0];
      IF part_epochs[round_end] <> ${anyEpoch} THEN
        SELECT ARRAY[o.epoch] INTO round_epochs FROM stream_owners o WHERE o.stream = part_streams[round_end];
      END IF;
    ELSE
      SELECT
        array_agg(coalesce(last.version, 0) ORDER BY p.number),
        array_agg(coalesce(last.hash, '\\x${Chain.start}') ORDER BY p.number),
        array_agg(coalesce((SELECT o.epoch FROM stream_owners o WHERE o.stream = p.stream), 0) ORDER BY p.number)
      INTO round_versions, round_hashes, round_epochs
      FROM unnest(part_streams[round_start:round_end]) WITH ORDINALITY AS p (stream, number)
      LEFT JOIN LATERAL (
        SELECT e.version, e.hash FROM events e WHERE e.stream = p.stream ORDER BY e.version DESC LIMIT 1
      ) AS last ON true;
    END IF;
    actuals := actuals || round_versions;
    currents := currents || coalesce(round_epochs, ARRAY[0]);

    part := round_start;
    WHILE part <= round_end LOOP
      next_append := part;
      guard := append_guards[part_appends[part]];
      accepted := guard = 0 OR guards[guard] = append_guard_epochs[part_appends[part]];
      WHILE next_append <= round_end AND part_appends[next_append] = part_appends[part] LOOP
        accepted := accepted
          AND part_epochs[next_append] IN (${anyEpoch}, currents[next_append])
          AND CASE part_expected[next_append]
            WHEN ${expectedCodes.any} THEN true
            WHEN ${expectedCodes.exists} THEN actuals[next_append] > 0
            ELSE part_expected[next_append] = actuals[next_append]
          END;
        next_append := next_append + 1;
      END LOOP;
      WHILE part < next_append LOOP
        IF accepted THEN
          befores[part] := head;
          head := head + part_counts[part];
          hash := round_hashes[part - round_start + 1];
          FOR event IN part_starts[part] + 1 .. part_starts[part] + part_counts[part] LOOP
            hash := sha256(hash || substr(contents, event * 32 - 31, 32));
            hashes[event] := hash;
          END LOOP;
        ELSE
          befores[part] := NULL;
          FOR event IN part_starts[part] + 1 .. part_starts[part] + part_counts[part] LOOP
            hashes[event] := NULL;
          END LOOP;
        END IF;
        part := part + 1;
      END LOOP;
    END LOOP;

    INSERT INTO events
      (position, at, version, schema_version, stream, type, command_id, correlation_id, causation_id, hash, data)
    SELECT
      befores[e.part] + e.number - part_starts[e.part],
      append_times[part_appends[e.part]],
      actuals[e.part] + e.number - part_starts[e.part],
      e.schema_version,
      part_streams[e.part],
      e.type,
      e.command_id,
      e.correlation_id,
      e.causation_id,
      hashes[e.number],
      e.data
    FROM unnest(event_parts, event_types, event_versions, event_data, command_ids, correlation_ids, causation_ids)
      WITH ORDINALITY AS e (part, type, schema_version, data, command_id, correlation_id, causation_id, number)
    WHERE e.part BETWEEN round_start AND round_end AND befores[e.part] IS NOT NULL;
    round_start := round_end + 1;
  END LOOP;
  IF head > head_before THEN
    PERFORM pg_notify('${channel}', head::text);
  END IF;
END
$$`

/** Not where `allowed` says no. */
const createClaimFunction = `
CREATE FUNCTION claim_streams(streams text[], owners text[], allowed boolean[]) RETURNS integer[]
LANGUAGE sql
AS $$
  WITH given AS (
    SELECT stream, owner, number,
      row_number() OVER (PARTITION BY stream ORDER BY number) AS nth, count(*) OVER (PARTITION BY stream) AS times
    FROM unnest(streams, owners, allowed) WITH ORDINALITY AS c (stream, owner, allowed, number)
    WHERE c.allowed
  ), taken AS (
    INSERT INTO stream_owners AS o (stream, epoch, owner)
    SELECT stream, times, owner FROM given WHERE nth = times
    ON CONFLICT (stream) DO UPDATE SET epoch = o.epoch + excluded.epoch, owner = excluded.owner
    RETURNING o.stream, o.epoch
  )
  SELECT array_agg((taken.epoch - given.times + given.nth)::integer ORDER BY c.number)
  FROM unnest(streams) WITH ORDINALITY AS c (stream, number)
  LEFT JOIN (given JOIN taken USING (stream)) USING (number)
$$`

const createEpochsFunction = `
CREATE FUNCTION epochs_of(streams text[]) RETURNS integer[]
LANGUAGE sql STRICT
AS $$
  SELECT array_agg(coalesce((SELECT o.epoch FROM stream_owners o WHERE o.stream = s.stream), 0) ORDER BY s.number)
  FROM unnest(streams) WITH ORDINALITY AS s (stream, number)
$$`

export const createEventLog = Effect.gen(function*() {
  const sql = yield* SqlClient
  for (const statement of [...createTables, createEpochsFunction, createClaimFunction, createFunction]) {
    yield* sql.unsafe(statement)
  }
})

// Idempotency keys may be of any length, and the entries of an index may not.
const hashOf = (text: string) => `hashtextextended(${text}, 0)`

/** Answers to commands with an idempotency key are found by the key, however long ago they were given. */
export const createAnswersIndex = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.unsafe(
    `CREATE INDEX events_answers ON events (stream, ${hashOf("command_id")}) WHERE type = 'CommandAnswered'`
  )
})

/**
 * The condition that this index serves: the answers in stream $1 to key $2. The order is one that no index has, so that
 * the whole stream is not walked for the sake of it.
 */
export const answerIn = `stream = $1 AND ${hashOf("command_id")} = ${hashOf("$2")} AND command_id = $2 ` +
  `AND type = 'CommandAnswered' ORDER BY version + 0`
