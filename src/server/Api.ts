/**
 * The HTTP API (spec section 9): its routes and what goes in and out of them. The server and the client are both made
 * from this, and so is the OpenAPI document.
 */
import { Context, Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import {
  CreateDirective,
  DirectiveAnswer,
  DirectiveStatus,
  Memory,
  NewStep,
  UpdateDirective
} from "../actors/DirectiveCommand.ts"
import { Parked } from "../actors/Supervisor.ts"
import { StoredEvent } from "../events/EventLog.ts"
import { DirectiveId, type OwnerId, StepId, TaskId } from "../events/Ids.ts"
import { Unreadable } from "../events/Unreadable.ts"
import { DaemonRow, DirectiveDetail, DirectivePage, MemoryRow, TaskDetail } from "../projections/Rows.ts"
import { Why } from "../replay/Why.ts"
import { ApiErrors, TooManyRequests, Unauthorized, Unavailable } from "./ApiError.ts"

/** Whose API key came with the request. */
export class CurrentOwner extends Context.Service<CurrentOwner, OwnerId>()("makima-runtime/server/CurrentOwner") {}

/** Lets a request in if its key is known and has requests left. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentOwner }>()(
  "makima-runtime/server/Authorization",
  {
    security: { apiKey: HttpApiSecurity.bearer },
    error: [Unauthorized, TooManyRequests, Unavailable]
  }
) {}

/** Says what is wrong with a request in the form that all errors have. */
export class Problems extends HttpApiMiddleware.Service<Problems>()("makima-runtime/server/Problems", {
  error: ApiErrors
}) {}

/** What a command led to, and the log position from which on reads can show it. */
export const CommandAnswer = Schema.Struct({ ...DirectiveAnswer.fields, position: Schema.Natural })
export type CommandAnswer = typeof CommandAnswer.Type

/** With what this server knows beside the read models: since when its actor is parked, and why. */
export const DirectiveNow = Schema.Struct({ ...DirectiveDetail.fields, parked: Schema.NullOr(Parked) })

export const NewSteps = Schema.Struct({ steps: Schema.Array(NewStep) })

const { key, ...memoryFields } = Memory.fields
export const MemoryValue = Schema.Struct(memoryFields)

/** An event as one line of JSON: what `LogLine.json` makes. */
export const EventLine = Schema.Struct({
  position: Schema.Natural,
  stream: Schema.String,
  version: Schema.Natural,
  /** Milliseconds since 1970, UTC. */
  at: Schema.Natural,
  type: Schema.String,
  schemaVersion: Schema.Natural,
  event: Schema.Union([StoredEvent, Unreadable]),
  commandId: Schema.optionalKey(Schema.String),
  correlationId: Schema.optionalKey(Schema.String),
  causationId: Schema.optionalKey(Schema.String)
})
export type EventLine = typeof EventLine.Type

/** How long a line of an answer may be for the client: an event can hold a prompt with everything in it. */
const lineBytesMax = 64 * 1024 * 1024

export const listLimitMax = 200

const directive = { id: DirectiveId }
const stepOfDirective = { id: DirectiveId, stepId: StepId }
/** URLs say something else with these two, however they are written, and clients and servers on the way tidy them up. */
const isInPaths = Schema.isPattern(/^(?!\.\.?$)/s, { message: "cannot be . or .." })
const memoryOfDirective = { id: DirectiveId, key: key.check(isInPaths) }
const task = { id: TaskId }

/**
 * A repeat of a command with the same key gets the answer that the first one got, and does nothing. What asks for something else
 * with that key is refused.
 */
const headers = {
  "idempotency-key": Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[\x21-\x7e]{1,200}$/, { message: "is not 1 to 200 visible ASCII characters" })
    )
  )
}

/** The answer shows the log at least up to this position. */
const after = { after: Schema.optionalKey(Schema.Natural) }

const follow = { follow: Schema.optionalKey(Schema.Boolean) }

const items = <A extends Schema.Top>(item: A) => Schema.Struct({ items: Schema.Array(item) })

const commanding = { params: directive, headers, success: CommandAnswer }

const directives = HttpApiGroup.make("directives").add(
  HttpApiEndpoint.post("create", "/directives", {
    headers,
    payload: CreateDirective,
    success: CommandAnswer.pipe(HttpApiSchema.status(201))
  }),
  HttpApiEndpoint.get("list", "/directives", {
    query: {
      status: Schema.optionalKey(DirectiveStatus),
      limit: Schema.optionalKey(Schema.Natural.check(Schema.isBetween({ minimum: 1, maximum: listLimitMax }))),
      cursor: Schema.optionalKey(Schema.String),
      ...after
    },
    success: DirectivePage
  }),
  HttpApiEndpoint.get("get", "/directives/:id", { params: directive, query: after, success: DirectiveNow }),
  HttpApiEndpoint.patch("update", "/directives/:id", { ...commanding, payload: UpdateDirective }),
  HttpApiEndpoint.post("start", "/directives/:id/start", commanding),
  HttpApiEndpoint.post("pause", "/directives/:id/pause", commanding),
  HttpApiEndpoint.post("resume", "/directives/:id/resume", commanding),
  HttpApiEndpoint.post("archive", "/directives/:id/archive", commanding),
  HttpApiEndpoint.post("complete", "/directives/:id/complete", commanding),
  // One step or many; the answer has them in the same order.
  HttpApiEndpoint.post("addSteps", "/directives/:id/steps", {
    ...commanding,
    payload: Schema.Union([NewSteps, NewStep])
  }),
  HttpApiEndpoint.post("retryStep", "/directives/:id/steps/:stepId/retry", { ...commanding, params: stepOfDirective }),
  HttpApiEndpoint.post("skipStep", "/directives/:id/steps/:stepId/skip", { ...commanding, params: stepOfDirective }),
  HttpApiEndpoint.get("events", "/directives/:id/events", {
    params: directive,
    // `from` is the position of the first event to be shown; with `follow` the answer goes on as events are committed.
    query: { from: Schema.optionalKey(Schema.Natural), ...follow },
    // With `Accept: text/event-stream`, server-sent events with positions as ids; clients say where they left off.
    headers: { "last-event-id": Schema.optionalKey(Schema.Natural) },
    success: HttpApiSchema.StreamNdjson({ schema: EventLine, maxElementBytes: lineBytesMax })
  }).annotate(
    OpenApi.Description,
    "With follow, the answer goes on until the client leaves or the server stops. Then it ends as what is whole: it has all " +
      "events up to the last one in it, and at least those that there were when the client asked. An answer that breaks off is " +
      "not whole. Either way a client asks again, from the position after the last one it has, as event sources do by " +
      "themselves with Last-Event-ID."
  ),
  HttpApiEndpoint.get("why", "/directives/:id/why", { params: directive, success: Why })
)

const memories = HttpApiGroup.make("memories").add(
  HttpApiEndpoint.get("list", "/directives/:id/memories", {
    params: directive,
    query: after,
    success: items(MemoryRow)
  }),
  HttpApiEndpoint.get("get", "/directives/:id/memories/:key", {
    params: memoryOfDirective,
    query: after,
    success: MemoryRow
  }),
  HttpApiEndpoint.put("set", "/directives/:id/memories/:key", {
    ...commanding,
    params: memoryOfDirective,
    payload: MemoryValue
  }),
  HttpApiEndpoint.delete("remove", "/directives/:id/memories/:key", { ...commanding, params: memoryOfDirective })
)

const tasks = HttpApiGroup.make("tasks").add(
  HttpApiEndpoint.get("get", "/tasks/:id", { params: task, query: after, success: TaskDetail }),
  // What is kept of the agent's output; with `follow` also what comes, until the task ends.
  HttpApiEndpoint.get("output", "/tasks/:id/output", {
    params: task,
    query: { ...follow, ...after },
    success: HttpApiSchema.StreamUint8Array({ contentType: "text/plain; charset=utf-8" })
  }).annotate(
    OpenApi.Description,
    "With follow, the answer goes on until the task ends or the server stops, and ends as what is whole. An answer that breaks " +
      "off is not whole. A client whose task has not ended by then asks again; output is kept by the server for as long as " +
      "that runs."
  ),
  HttpApiEndpoint.post("interrupt", "/tasks/:id/interrupt", { params: task, headers, success: CommandAnswer })
)

const daemons = HttpApiGroup.make("daemons").add(
  HttpApiEndpoint.get("list", "/daemons", {
    query: after,
    // While they are parked, no daemon can connect.
    success: Schema.Struct({ ...items(DaemonRow).fields, parked: Schema.NullOr(Parked) })
  }),
  HttpApiEndpoint.post("resume", "/daemons/resume", { success: Schema.Struct({ resumed: Schema.Boolean }) })
)

/** For whoever watches over the server: no key is needed. */
const system = HttpApiGroup.make("system").add(
  HttpApiEndpoint.get("health", "/healthz", { success: Schema.Struct({ status: Schema.Literal("ok") }) }),
  HttpApiEndpoint.get("ready", "/readyz", {
    success: Schema.Struct({ status: Schema.Literal("ready"), position: Schema.Natural })
  })
)

export class Api extends HttpApi.make("makima")
  .add(directives, memories, tasks, daemons)
  .prefix("/api/v1")
  .middleware(Problems)
  // Added last, so it comes first: a stranger does not learn what is wrong with a request.
  .middleware(Authorization)
  .add(system.middleware(Problems))
  .annotate(HttpApi.PayloadParseOptions, { onExcessProperty: "error" })
  .annotateMerge(OpenApi.annotations({
    title: "makima",
    version: "1",
    description: "Directives for AI coding agents: create them, follow them, and see why they are where they are."
  }))
{}
