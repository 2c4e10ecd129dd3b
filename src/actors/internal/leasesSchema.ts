/**
 * Leases in PostgreSQL: a row for each process that lives, a row for each owner that somebody has, and the functions that
 * change them. Times are those of the database's clock, and every change is one statement, so that it is whole or nothing
 * whatever becomes of whoever sent it.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { appendLockKey } from "../../events/internal/eventLogSchema.ts"

/** Held while somebody joins or is fenced; it reads "leas". */
const lockKey = 0x6c656173

/** The first half of the locks that processes hold for as long as their connection lasts; it reads "node". */
const nodeLockClass = 0x6e6f6465

/** The key of what a process has: its name with this before it is the stream of its fence. */
export const streamPrefix = "node-"

const createTables = [
  `CREATE TABLE nodes (
    name text COLLATE "C" PRIMARY KEY,
    epoch integer NOT NULL,
    url text,
    renewals integer NOT NULL DEFAULT 0,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    stopped boolean NOT NULL DEFAULT false
  )`,
  `CREATE TABLE leases (
    owner_id text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C" NOT NULL REFERENCES nodes
  )`,
  `CREATE INDEX leases_node ON leases (node)`
]

const createFunctions = [
  // Whether somebody has a connection as the process of this name.
  `CREATE FUNCTION node_is_connected(node text) RETURNS boolean
  LANGUAGE sql
  AS $$
    SELECT EXISTS (
      SELECT FROM pg_locks l
      WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = ${nodeLockClass}::oid AND l.objid = (hashtext(node)::bigint & 4294967295)::oid
    )
  $$`,

  `CREATE FUNCTION node_lock(node text) RETURNS boolean
  LANGUAGE sql
  AS $$ SELECT pg_try_advisory_lock(${nodeLockClass}, hashtext(node)) $$`,

  // Makes this session that of the process, and ends the time of an earlier one of that name, which hands its owners on.
  // Null if that is still there.
  `CREATE FUNCTION node_join(node text, ttl interval) RETURNS integer
  LANGUAGE plpgsql
  AS $$
  DECLARE
    begun integer;
  BEGIN
    PERFORM pg_advisory_xact_lock(${lockKey});
    IF NOT node_lock(node) THEN
      RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(${appendLockKey});
    begun := (claim_streams(ARRAY['${streamPrefix}' || node], ARRAY[node], ARRAY[true]))[1];
    INSERT INTO nodes AS n (name, epoch, renewed_at, expires_at)
    VALUES (node, begun, clock_timestamp(), clock_timestamp() + ttl)
    ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, url = NULL, renewed_at = excluded.renewed_at,
      expires_at = excluded.expires_at, stopped = false;
    RETURN begun;
  END
  $$`,

  // The number of the renewal, or null when another process has taken over.
  `CREATE FUNCTION node_renew(node text, of_epoch integer, ttl interval) RETURNS integer
  LANGUAGE sql
  AS $$
    UPDATE nodes
    SET renewals = renewals + 1, renewed_at = clock_timestamp(), expires_at = clock_timestamp() + ttl
    WHERE name = node AND epoch = of_epoch
    RETURNING renewals
  $$`,

  `CREATE FUNCTION node_stop(node text, of_epoch integer) RETURNS void
  LANGUAGE sql
  AS $$ UPDATE nodes SET stopped = true WHERE name = node AND epoch = of_epoch $$`,

  // Fences all processes that are dead, has this one take their owners, and gives those. A dead one cannot come between:
  // its row is locked before anything of it moves, and with the row gone it can neither renew nor take anybody.
  //
  // What comes late does not count. After the next renewal, this process has looked already what it has, and nobody would go
  // on with more. After a break, the others could not renew either, whatever was thought of them before.
  `CREATE FUNCTION node_take_over(node text, of_epoch integer, of_renewal integer, judging boolean, killed interval)
  RETURNS SETOF text
  LANGUAGE plpgsql
  AS $$
  DECLARE
    judges boolean;
    dead text[];
  BEGIN
    PERFORM FROM nodes n WHERE n.name <> node AND (n.stopped OR judging AND n.renewed_at < clock_timestamp() - killed);
    IF NOT FOUND THEN
      RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(${lockKey});
    PERFORM pg_advisory_xact_lock(${appendLockKey});
    SELECT judging AND n.renewed_at >= clock_timestamp() - killed INTO judges
    FROM nodes n WHERE n.name = node AND n.epoch = of_epoch AND n.renewals = of_renewal
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    SELECT array_agg(d.name) INTO dead FROM (
      SELECT n.name FROM nodes n
      WHERE n.name <> node AND (
        n.stopped
        OR judges AND (
          n.expires_at < clock_timestamp()
          OR n.renewed_at < clock_timestamp() - killed AND NOT node_is_connected(n.name)
        )
      )
      FOR UPDATE
    ) AS d;
    IF dead IS NULL THEN
      RETURN;
    END IF;
    PERFORM claim_streams(array_agg('${streamPrefix}' || d.name), array_agg(node), array_agg(true))
    FROM unnest(dead) AS d (name);
    RETURN QUERY UPDATE leases l SET node = node_take_over.node WHERE l.node = ANY (dead) RETURNING l.owner_id;
    DELETE FROM nodes n WHERE n.name = ANY (dead);
  END
  $$`,

  // Takes those of the owners that nobody has, and says who has each of them. Nothing when this process is fenced.
  `CREATE FUNCTION node_take(node text, of_epoch integer, owners text[])
  RETURNS TABLE (owner text, holder text, holder_url text)
  LANGUAGE plpgsql
  AS $$
  BEGIN
    PERFORM FROM nodes n WHERE n.name = node AND n.epoch = of_epoch FOR KEY SHARE;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    INSERT INTO leases (owner_id, node)
    SELECT o.id, node_take.node FROM unnest(owners) AS o (id) ORDER BY o.id
    ON CONFLICT DO NOTHING;
    RETURN QUERY
      SELECT l.owner_id, n.name, n.url FROM leases l JOIN nodes n ON n.name = l.node WHERE l.owner_id = ANY (owners);
  END
  $$`
]

export const createLeases = Effect.gen(function*() {
  const sql = yield* SqlClient
  for (const statement of [...createTables, ...createFunctions]) yield* sql.unsafe(statement)
})
