/** `makima keys`: the API keys, made and revoked in the store itself, since without one nobody can ask a server. */
import { Console, DateTime, Effect, Layer, Redacted } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { OwnerId } from "../events/Ids.ts"
import { ApiKeys } from "../server/ApiKeys.ts"
import { json, layerDatabase, layerLogs, type Store, storeFlags } from "./Configuration.ts"
import { CommandFailed } from "./Failure.ts"
import { clean } from "./OneLine.ts"

const layerKeys = (store: Store) =>
  ApiKeys.layer.pipe(Layer.provide(layerDatabase(store)), Layer.provideMerge(layerLogs("Warn")))

const isFilled = (text: string): boolean => clean(text) !== ""

const owner = Flag.String("owner").pipe(
  Flag.filter(isFilled, () => "is empty"),
  Flag.withSchema(OwnerId),
  Flag.withDefault(OwnerId.make("default")),
  Flag.withDescription("Whom the key belongs to; owners do not see each other. default if unset")
)

const create = Command.make("create", {
  name: Argument.String("name").pipe(
    Argument.filter(isFilled, () => "is empty"),
    Argument.withDefault("key"),
    Argument.withDescription("What it is for")
  ),
  owner,
  json,
  ...storeFlags
}, (input) =>
  Effect.gen(function*() {
    const keys = yield* ApiKeys
    const { id, key } = yield* keys.create(input.owner, input.name)
    // The one time that it can be seen.
    const shown = Redacted.value(key)
    yield* Console.log(input.json ? JSON.stringify({ id, ownerId: input.owner, key: shown }) : shown)
  }).pipe(Effect.provide(layerKeys(input)))).pipe(Command.withDescription("Make an API key and print it, once"))

const list = Command.make("list", { json, ...storeFlags }, (input) =>
  Effect.gen(function*() {
    const keys = yield* Effect.flatMap(ApiKeys, (service) => service.list())
    if (input.json) return yield* Console.log(JSON.stringify(keys))
    for (const { createdAt, id, name, ownerId, revokedAt } of keys) {
      const made = DateTime.formatIso(DateTime.makeUnsafe(createdAt))
      yield* Console.log(
        `${id}  ${made}  ${revokedAt === null ? "valid  " : "revoked"}  ${clean(ownerId)}  ${clean(name)}`
      )
    }
    if (keys.length === 0) yield* Console.log("No keys")
  }).pipe(Effect.provide(layerKeys(input)))).pipe(Command.withDescription("List the keys, without the keys themselves"))

const revoke = Command.make(
  "revoke",
  { id: Argument.String("key-id").pipe(Argument.withDescription("As keys list shows it")), ...storeFlags },
  (input) =>
    Effect.gen(function*() {
      const keys = yield* ApiKeys
      if (!(yield* keys.revoke(input.id))) return yield* new CommandFailed({ message: `there is no key ${input.id}` })
      yield* Console.log(`${input.id} is revoked`)
    }).pipe(Effect.provide(layerKeys(input)))
).pipe(Command.withDescription("Make a key worthless"))

export const keys = Command.make("keys").pipe(
  Command.withDescription("Make, list and revoke API keys"),
  Command.withSubcommands([create, list, revoke])
)
