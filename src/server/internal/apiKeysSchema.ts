/** The table of API keys. It has no key in it: only what a key can be recognised by. */
import { SqlClient } from "effect/sql/SqlClient"

export const createApiKeys = SqlClient.use((sql) =>
  sql`
    CREATE TABLE api_keys (
      id text PRIMARY KEY,
      owner_id text NOT NULL,
      name text NOT NULL,
      hash text COLLATE "C" NOT NULL UNIQUE,
      created_at bigint NOT NULL,
      revoked_at bigint
    )`
)
