/**
 * The state of an owner's daemons as text. Raise `snapshotVersion` when `evolve` makes something else of the same events;
 * `test/golden/folds.test.ts` notices when it does.
 */
import { DaemonEvent } from "../events/DaemonEvent.ts"
import type { Daemon, Policy, State } from "./DaemonRegistry.ts"
import * as Codec from "./internal/codec.ts"
import { schemaOf } from "./internal/snapshotSchema.ts"

export const snapshotVersion = 1

const { array, plain, struct, text } = Codec

const daemons = array(struct<Daemon>({
  id: text(),
  machineId: text(),
  hostname: text(),
  maxConcurrentTasks: plain,
  status: text(),
  lostAt: plain
}))

const schema = schemaOf(snapshotVersion, daemons.shape, DaemonEvent)

export const codecFor = (policy: Policy): Codec.StateCodec<State> =>
  Codec.inOnePiece<State, ReadonlyArray<Daemon>>(
    schema,
    daemons,
    (state) => [...state.daemons.values()],
    (all) => ({ policy, daemons: new Map(all.map((daemon) => [daemon.id, daemon])) })
  )
