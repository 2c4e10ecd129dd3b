/**
 * The state of a supervisor as text. Raise `snapshotVersion` when `evolve` makes something else of the same events;
 * `test/golden/folds.test.ts` notices when it does.
 */
import { SupervisorEvent } from "../events/SupervisorEvent.ts"
import * as Codec from "./internal/codec.ts"
import { schemaOf } from "./internal/snapshotSchema.ts"
import type { Failure, Parked, Policy, State } from "./Supervisor.ts"

export const snapshotVersion = 1

const { array, entries, plain, struct, text } = Codec

type Kept = Omit<State, "policy">

const kept = struct<Kept>({
  failures: entries(array(struct<Failure>({ at: plain, outage: plain }))),
  sweptAt: plain,
  scheduled: entries<string, number>(plain),
  parked: entries(struct<Parked>({ since: plain, cause: text() }))
})

/** Which failures are still in the state depends on the policy, so a snapshot is of use under the same one only. */
export const codecFor = (policy: Policy): Codec.StateCodec<State> =>
  Codec.inOnePiece<State, Kept>(
    schemaOf(snapshotVersion, [kept.shape, policy], SupervisorEvent),
    kept,
    (state) => state,
    (rest) => ({ policy, ...rest })
  )
