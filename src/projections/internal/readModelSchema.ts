/**
 * The tables of the read models, which can always be made anew from the log, and how far they have come.
 *
 * Each set of tables is a generation with a number of its own, which is in their names: `read_7_steps`. `projections`
 * says which generation is live and which one is being made. The tables belong to the code that fills them, so that
 * code makes them, and not a migration.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

/**
 * Whenever `changes` or the tables mean something else than before, this grows. Readers ask only tables of their own
 * version, and those of a new one are made beside the old ones.
 */
export const currentVersion = 1

/** What the names of a generation's tables begin with. */
export const prefixOf = (generation: number): string => `read_${generation}_`

export const createProjections = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`
    CREATE TABLE projections (
      name text COLLATE "C" PRIMARY KEY,
      generation integer NOT NULL,
      version integer NOT NULL,
      position bigint NOT NULL,
      quarantined integer NOT NULL
    )`
  yield* sql`CREATE SEQUENCE projections_generations AS integer`
})

// Texts are compared byte by byte: these are ids and names of states, in no language.
export const tableStatements = (prefix: string): ReadonlyArray<string> => [
  `CREATE TABLE ${prefix}directives (
    id text COLLATE "C" PRIMARY KEY,
    owner_id text COLLATE "C" NOT NULL,
    title text NOT NULL,
    goal text NOT NULL,
    goal_revision bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    repository_url text,
    base_branch text NOT NULL,
    memory_enabled boolean NOT NULL,
    pr_url text,
    pr_branch text,
    generation bigint NOT NULL,
    completion_due_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    paused_because text,
    attention text,
    created_position bigint NOT NULL
  )`,
  `CREATE TABLE ${prefix}steps (
    id text COLLATE "C" PRIMARY KEY,
    directive_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    description text,
    task_plan text,
    depends_on text[] NOT NULL,
    order_index bigint NOT NULL,
    generation bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    task_id text COLLATE "C",
    failure text,
    version bigint NOT NULL
  )`,
  `CREATE TABLE ${prefix}tasks (
    id text COLLATE "C" PRIMARY KEY,
    directive_id text COLLATE "C" NOT NULL,
    step_id text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    repository_url text,
    base_branch text,
    completion_action text,
    continue_from_task_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    daemon_id text COLLATE "C",
    hand_over bigint NOT NULL,
    reason text,
    created_at bigint NOT NULL,
    ended_at bigint,
    plan text NOT NULL,
    version bigint NOT NULL
  )`,
  `CREATE TABLE ${prefix}daemons (
    id text COLLATE "C" PRIMARY KEY,
    owner_id text COLLATE "C" NOT NULL,
    machine_id text NOT NULL,
    hostname text NOT NULL,
    max_concurrent_tasks bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    since bigint NOT NULL,
    lost_at bigint
  )`,
  `CREATE TABLE ${prefix}memories (
    id text COLLATE "C" PRIMARY KEY,
    directive_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text,
    category text
  )`,
  `CREATE TABLE ${prefix}quarantine (
    id text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    position bigint NOT NULL,
    type text NOT NULL,
    schema_version bigint NOT NULL,
    reason text NOT NULL
  )`
]

/** Made when the tables are full, which is faster. */
export const indexStatements = (prefix: string): ReadonlyArray<string> => [
  `CREATE INDEX IF NOT EXISTS ${prefix}directives_of_owner ON ${prefix}directives (owner_id, created_position)`,
  `CREATE INDEX IF NOT EXISTS ${prefix}directives_of_owner_in_status ON ${prefix}directives (owner_id, status, created_position)`,
  `CREATE INDEX IF NOT EXISTS ${prefix}steps_of_directive ON ${prefix}steps (directive_id, version)`,
  `CREATE INDEX IF NOT EXISTS ${prefix}tasks_of_directive ON ${prefix}tasks (directive_id, version)`,
  `CREATE INDEX IF NOT EXISTS ${prefix}tasks_open ON ${prefix}tasks (directive_id) WHERE ended_at IS NULL`,
  `CREATE INDEX IF NOT EXISTS ${prefix}tasks_of_daemon ON ${prefix}tasks (daemon_id) WHERE ended_at IS NULL`,
  `CREATE INDEX IF NOT EXISTS ${prefix}daemons_of_owner ON ${prefix}daemons (owner_id)`,
  `CREATE INDEX IF NOT EXISTS ${prefix}memories_of_directive ON ${prefix}memories (directive_id, key)`
]
