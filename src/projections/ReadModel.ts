/**
 * What the read models can be asked. Answers show the log up to some position: `Projections.awaitPosition` beforehand
 * makes that at least a given one. Another owner's thing is not there.
 *
 * Only tables of this code's own version are asked: whether the columns of another one mean the same, nobody knows.
 */
import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import * as Base64Url from "effect/encoding/Base64Url"
import { SqlClient } from "effect/sql/SqlClient"
import type { Fragment } from "effect/sql/Statement"
import type { DirectiveStatus } from "../actors/DirectiveCommand.ts"
import { DirectiveId, OwnerId } from "../events/Ids.ts"
import { type LiveTables, makeAsk } from "./internal/ask.ts"
import { currentVersion } from "./internal/readModelSchema.ts"
import { jsonObject } from "./internal/rows.ts"
import {
  DaemonRow,
  type DirectiveDetail,
  type DirectivePage,
  DirectiveRow,
  MemoryRow,
  tables,
  TaskDetail,
  TaskRow
} from "./Rows.ts"

/** The database cannot be reached, or holds rows that this code does not know. */
export class ReadModelError extends Schema.TaggedError<ReadModelError>()("ReadModelError", {
  method: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The read model failed to ${this.method}: ${this.cause instanceof Error ? this.cause.message : this.cause}`
  }
}

export class InvalidCursor extends Schema.TaggedError<InvalidCursor>()("InvalidCursor", { cursor: Schema.String }) {
  override get message(): string {
    return `${JSON.stringify(this.cursor)} is not a cursor that a list has given`
  }
}

/** A directive and whom it belongs to. */
export const DirectiveAddress = Schema.Struct({ directiveId: DirectiveId, ownerId: OwnerId })
export type DirectiveAddress = typeof DirectiveAddress.Type

export class ReadModel extends Context.Service<ReadModel, {
  /** An owner's directives, newest first. Paging shows each that was there from the start of it exactly once. */
  listDirectives(options: {
    readonly ownerId: string
    readonly status?: DirectiveStatus | undefined
    readonly limit: number
    readonly cursor?: string | undefined
  }): Effect.Effect<DirectivePage, InvalidCursor | ReadModelError>
  /** A directive with its steps and tasks, all as of one moment. */
  directive(ownerId: string, directiveId: string): Effect.Effect<Option.Option<DirectiveDetail>, ReadModelError>
  /** A task with its prompt. */
  task(ownerId: string, taskId: string): Effect.Effect<Option.Option<TaskDetail>, ReadModelError>
  /** The directive that a task belongs to, whoever asks: for reports, which name a task alone. */
  directiveOfTask(taskId: string): Effect.Effect<Option.Option<DirectiveAddress>, ReadModelError>
  /** All daemons that an owner ever had, with the last that was heard of them. */
  daemons(ownerId: string): Effect.Effect<ReadonlyArray<DaemonRow>, ReadModelError>
  /** The memories of a directive by key. */
  memories(ownerId: string, directiveId: string): Effect.Effect<Option.Option<ReadonlyArray<MemoryRow>>, ReadModelError>
  /** Directives that have something to do by themselves, oldest first: active, or with an open task or one that is due. */
  activeDirectives(options?: {
    /** Leaves out the owners whose ids begin so. */
    readonly exceptOwnerPrefix?: string
  }): Effect.Effect<ReadonlyArray<DirectiveAddress>, ReadModelError>
}>()("makima-runtime/projections/ReadModel") {
  /** As `layer`, for code of another version. */
  static readonly layerVersion = (version: number): Layer.Layer<ReadModel, never, SqlClient> =>
    Layer.effect(
      ReadModel,
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const ask = makeAsk(sql, version)

        const rows = <A>(
          method: string,
          schema: Schema.Codec<A, unknown>,
          statement: (tables: LiveTables) => Fragment
        ) =>
          ask(statement).pipe(
            Effect.flatMap((found) => decodeRows(Schema.Array(schema))(found.map(({ row }) => row))),
            Effect.mapError((cause) => new ReadModelError({ method, cause }))
          )
        const first = <A>(
          method: string,
          schema: Schema.Codec<A, unknown>,
          statement: (tables: LiveTables) => Fragment
        ) => Effect.map(rows(method, schema, statement), (found) => Option.fromUndefinedOr(found[0]))

        return ReadModel.of({
          listDirectives: Effect.fn("ReadModel.listDirectives")(function*({ cursor, limit, ownerId, status }) {
            const before = cursor === undefined ? undefined : positionOf(cursor)
            if (cursor !== undefined && before === undefined) return yield* new InvalidCursor({ cursor })
            const found = yield* rows(
              "list directives",
              Listed,
              (t) =>
                sql`SELECT ${sql.literal(listedJson)} AS row FROM ${t.directives} d WHERE ${
                  sql.and([
                    sql`owner_id = ${ownerId}`,
                    ...(status === undefined ? [] : [sql`status = ${status}`]),
                    ...(before === undefined ? [] : [sql`created_position < ${before}::bigint`])
                  ])
                } ORDER BY created_position DESC LIMIT ${limit + 1}::bigint`
            )
            const shown = found.slice(0, limit)
            const last = shown.at(-1)
            return {
              items: shown.map(({ directive }) => directive),
              ...(found.length > limit && last !== undefined ? { nextCursor: cursorOf(last.position) } : {})
            }
          }),

          directive: Effect.fn("ReadModel.directive")(function*(ownerId, directiveId) {
            // One statement sees one moment, and each row comes by itself, however large all of them are together.
            const parts = yield* rows(
              "read a directive",
              Part,
              (t) =>
                sql`
              WITH directive AS (
                SELECT * FROM ${t.directives} WHERE id = ${directiveId} AND owner_id = ${ownerId}
              )
              SELECT row FROM (
                SELECT 0 AS part, 0 AS version, json_build_object('directive', ${sql.literal(directiveJson)}) AS row
                FROM directive d
                UNION ALL
                SELECT 1, s.version, json_build_object('step', ${sql.literal(stepJson)})
                FROM directive d JOIN ${t.steps} s ON s.directive_id = d.id
                UNION ALL
                SELECT 2, t.version, json_build_object('task', ${sql.literal(taskJson)})
                FROM directive d JOIN ${t.tasks} t ON t.directive_id = d.id
              ) parts ORDER BY part, version`
            )
            const directive = parts.find((part) => "directive" in part)?.directive
            if (directive === undefined) return Option.none()
            const steps = parts.flatMap((part) => "step" in part ? [part.step] : [])
            return Option.some({
              ...directive,
              steps: steps.map((step, sequence) => ({ ...step, sequence })),
              tasks: parts.flatMap((part) => "task" in part ? [part.task] : [])
            })
          }),

          task: (ownerId, taskId) =>
            first(
              "read a task",
              TaskDetail,
              (t) =>
                sql`
              SELECT ${sql.literal(jsonObject(TaskDetail.fields, "t"))} AS row
              FROM ${t.directives} d JOIN ${t.tasks} t ON d.id = t.directive_id
              WHERE t.id = ${taskId} AND d.owner_id = ${ownerId}`
            ),

          directiveOfTask: (taskId) =>
            first(
              "find the directive of a task",
              DirectiveAddress,
              (t) =>
                sql`
              SELECT ${sql.literal(addressJson)} AS row
              FROM ${t.directives} d JOIN ${t.tasks} t ON d.id = t.directive_id WHERE t.id = ${taskId}`
            ),

          daemons: (ownerId) =>
            rows(
              "read daemons",
              DaemonRow,
              (t) =>
                sql`
              SELECT ${sql.literal(daemonJson)} AS row
              FROM ${t.daemons} w
              CROSS JOIN LATERAL (
                SELECT count(*) AS tasks FROM ${t.tasks} t WHERE t.daemon_id = w.id AND t.ended_at IS NULL
              ) a
              WHERE owner_id = ${ownerId} ORDER BY hostname, id`
            ),

          memories: Effect.fn("ReadModel.memories")(function*(ownerId, directiveId) {
            const found = yield* rows(
              "read memories",
              Schema.NullOr(MemoryRow),
              (t) =>
                sql`
              SELECT CASE WHEN m.id IS NOT NULL THEN ${sql.literal(jsonObject(MemoryRow.fields, "m"))} END AS row
              FROM ${t.directives} d LEFT JOIN ${t.memories} m ON m.directive_id = d.id AND m.value IS NOT NULL
              WHERE d.id = ${directiveId} AND d.owner_id = ${ownerId} ORDER BY m.key`
            )
            return found.length === 0 ? Option.none() : Option.some(found.filter((memory) => memory !== null))
          }),

          activeDirectives: (options) =>
            rows(
              "find directives that are active",
              DirectiveAddress,
              (t) =>
                sql`
              SELECT ${sql.literal(addressJson)} AS row FROM ${t.directives} d
              WHERE (
                status = 'active'
                OR completion_due_at IS NOT NULL
                OR EXISTS (SELECT FROM ${t.tasks} t WHERE t.directive_id = d.id AND t.ended_at IS NULL)
              ) ${
                  options?.exceptOwnerPrefix === undefined
                    ? sql.literal("")
                    : sql`AND NOT starts_with(owner_id, ${options.exceptOwnerPrefix})`
                } ORDER BY created_position`
            )
        })
      })
    )

  static readonly layer = this.layerVersion(currentVersion)
}

const decodeRows = <A>(schema: Schema.Codec<A, unknown>) => Schema.decodeUnknownEffect(schema)

const { version: _, ...stepFields } = tables.steps.fields

const directiveJson = jsonObject(DirectiveRow.fields, "d", {
  reason: "CASE WHEN d.status = 'paused' THEN d.paused_because ELSE d.attention END"
})
const stepJson = jsonObject(stepFields, "s")
const taskJson = jsonObject(TaskRow.fields, "t")
const daemonJson = jsonObject(DaemonRow.fields, "w", { activeTasks: "a.tasks" })
const addressJson = jsonObject(DirectiveAddress.fields, "d", { directiveId: "d.id" })

const Listed = Schema.Struct({ directive: DirectiveRow, position: Schema.Natural })
const listedJson = `json_build_object('directive', ${directiveJson}, 'position', d.created_position)`

const Part = Schema.Union([
  Schema.Struct({ directive: DirectiveRow }),
  Schema.Struct({ step: Schema.Struct(stepFields) }),
  Schema.Struct({ task: TaskRow })
])

/** Opaque to clients, so that what a list is ordered by can change. */
const cursorOf = (position: number): string => Base64Url.encode(`before ${position}`)

const positionOf = (cursor: string): number | undefined => {
  const text = Result.getOrElse(Base64Url.decodeString(cursor), () => "")
  const digits = /^before (\d{1,15})$/.exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
