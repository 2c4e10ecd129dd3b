/** The tables of the read models, which can always be made anew from the log, and how far they have come. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"

// Texts are compared byte by byte: these are ids and names of states, in no language.
const statements = [
  `CREATE TABLE projections (
    name text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    position bigint NOT NULL
  )`,
  `CREATE TABLE directives (
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
  `CREATE INDEX directives_of_owner ON directives (owner_id, created_position)`,
  `CREATE INDEX directives_of_owner_in_status ON directives (owner_id, status, created_position)`,
  `CREATE TABLE steps (
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
  `CREATE INDEX steps_of_directive ON steps (directive_id, version)`,
  `CREATE TABLE tasks (
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
  `CREATE INDEX tasks_of_directive ON tasks (directive_id, version)`,
  `CREATE INDEX tasks_open ON tasks (directive_id) WHERE ended_at IS NULL`,
  `CREATE INDEX tasks_of_daemon ON tasks (daemon_id) WHERE ended_at IS NULL`,
  `CREATE TABLE daemons (
    id text COLLATE "C" PRIMARY KEY,
    owner_id text COLLATE "C" NOT NULL,
    machine_id text NOT NULL,
    hostname text NOT NULL,
    max_concurrent_tasks bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    since bigint NOT NULL,
    lost_at bigint
  )`,
  `CREATE INDEX daemons_of_owner ON daemons (owner_id)`,
  `CREATE TABLE memories (
    id text COLLATE "C" PRIMARY KEY,
    directive_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text,
    category text
  )`,
  `CREATE INDEX memories_of_directive ON memories (directive_id, key)`
]

export const createReadModels = Effect.gen(function*() {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
