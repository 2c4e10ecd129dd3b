import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Queue, Scope, Stream } from "effect"
import { request } from "node:http"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog } from "../../src/events/EventLog.ts"
import { TaskId } from "../../src/events/Ids.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"
import { alice, ask, Keys, layerRuntime, newDirective, tell } from "./server.ts"

/** What became of the log's subscriptions that the server made. */
class Subscriptions extends Context.Service<Subscriptions, Queue.Queue<"opened" | "closed">>()("test/Subscriptions") {}

const layerWatchedLog = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const log = yield* EventLog
    const seen = yield* Subscriptions
    return EventLog.of({
      ...log,
      subscribe: (options) =>
        Stream.unwrap(Effect.as(Queue.offer(seen, "opened"), log.subscribe(options))).pipe(
          Stream.ensuring(Queue.offer(seen, "closed"))
        )
    })
  })
)

const address = { host: "127.0.0.1", port: 0 }

const layerServer = HttpServer.layer(address, Layer.empty).pipe(
  Layer.provide(layerWatchedLog),
  Layer.provideMerge(layerRuntime),
  Layer.provideMerge(Layer.effect(Subscriptions, Queue.unbounded<"opened" | "closed">()))
)

/** Opens an answer that goes on, and gives its lines as they come. Closing the scope hangs up. */
const open = Effect.fnUntraced(function*(path: string, headers: Readonly<Record<string, string>> = {}) {
  const keys = yield* Keys
  const url = yield* HttpServer.url
  const lines = yield* Queue.unbounded<string>()
  const ended = yield* Deferred.make<void>()
  const message = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const sent = request(url + path, { headers: { authorization: `Bearer ${keys.alice}`, ...headers } })
      sent.on("response", (response) => {
        let rest = ""
        response.setEncoding("utf8")
        response.on("data", (text: string) => {
          const parts = (rest + text).split("\n")
          rest = parts.pop() ?? ""
          for (const part of parts) Queue.offerUnsafe(lines, part)
        })
        response.on("error", () => {})
        response.on("close", () => Deferred.doneUnsafe(ended, Exit.void))
      })
      sent.on("error", () => Deferred.doneUnsafe(ended, Exit.void))
      sent.end()
      return sent
    }),
    (sent) => Effect.sync(() => sent.destroy())
  )
  return { lines, ended: Deferred.await(ended), hangUp: Effect.sync(() => message.destroy()) }
})

const nextEvent = (lines: Queue.Dequeue<string>) =>
  Effect.map(Queue.take(lines), (line): { position: number; type: string; stream: string } => JSON.parse(line))

layer(layerServer, { excludeTestServices: true })("Answers that go on", (it) => {
  it.effect("give the events of one directive as lines of JSON, from a position on", () =>
    Effect.gen(function*() {
      const id = yield* newDirective({ start: true })
      yield* newDirective()
      const { headers, body } = yield* ask(`GET /api/v1/directives/${id}/events`)
      assert.strictEqual(headers.get("content-type"), "application/x-ndjson")
      const events = body.trim().split("\n").map((line: string) => JSON.parse(line))
      assert.deepStrictEqual(events.slice(0, 2).map((event: { type: string }) => event.type), [
        "DirectiveCreated",
        "DirectiveStarted"
      ])
      assert.isTrue(events.every((event: { stream: string }) => event.stream === `directive-${id}`))
      const later = yield* tell(`GET /api/v1/directives/${id}/events?from=${events[1].position}`)
      assert.strictEqual(JSON.parse(later.split("\n")[0]).position, events[1].position)
      assert.strictEqual(yield* tell(`GET /api/v1/directives/${id}/events?from=99999999`), "")
    }))

  it.effect("give each event once, those that are there and those that come, until the client leaves", () =>
    Effect.gen(function*() {
      const seen = yield* Subscriptions
      const id = yield* newDirective()
      const { hangUp, lines } = yield* open(`/api/v1/directives/${id}/events?follow=true`)
      const first = yield* nextEvent(lines)
      assert.strictEqual(first.type, "DirectiveCreated")
      assert.strictEqual(yield* Queue.take(seen), "opened")
      yield* newDirective()
      yield* tell(`PATCH /api/v1/directives/${id}`, { body: { goal: "Say goodbye" } })
      const second = yield* nextEvent(lines)
      assert.deepStrictEqual([second.type, second.stream], ["GoalChanged", first.stream])
      yield* hangUp
      assert.strictEqual(yield* Queue.take(seen), "closed")
    }).pipe(Effect.scoped))

  it.effect("are server-sent events for those who ask for them, and resume where the client left off", () =>
    Effect.gen(function*() {
      const seen = yield* Subscriptions
      const id = yield* newDirective()
      const accept = { accept: "text/event-stream" }
      const whole = yield* ask(`GET /api/v1/directives/${id}/events`, { headers: accept })
      assert.strictEqual(whole.headers.get("content-type"), "text/event-stream")
      const position = /^id: (\d+)\ndata: \{.*"type":"DirectiveCreated".*\}\n\n$/.exec(whole.body)?.[1]
      assert.isDefined(position)
      const resumed = yield* open(`/api/v1/directives/${id}/events?follow=true`, {
        ...accept,
        "last-event-id": position!
      })
      // The answer begins at once, even if there is nothing to say yet.
      assert.strictEqual(yield* Queue.take(resumed.lines), ":")
      yield* tell(`POST /api/v1/directives/${id}/archive`)
      const [blank, eventId, data] = yield* Queue.takeN(resumed.lines, 3)
      assert.deepStrictEqual([blank, eventId], ["", `id: ${Number(position) + 1}`])
      assert.include(data, "\"type\":\"DirectiveArchived\"")
      yield* resumed.hangUp
      assert.deepStrictEqual(yield* Queue.takeN(seen, 2), ["opened", "closed"])
    }).pipe(Effect.scoped))

  it.effect("show a task's output as it is written, until the task ends", () =>
    Effect.gen(function*() {
      const output = yield* TaskOutput
      const daemon = yield* connectDaemon(alice, "laptop", 1)
      yield* newDirective({ start: true })
      const task = yield* daemon.nextTask
      const taskId = TaskId.make(task.taskId)
      yield* output.append(taskId, "thinking\n")
      assert.strictEqual(yield* tell(`GET /api/v1/tasks/${taskId}/output`), "thinking\n")
      const watching = yield* open(`/api/v1/tasks/${taskId}/output?follow=true`)
      assert.strictEqual(yield* Queue.take(watching.lines), "thinking")
      yield* output.append(taskId, "done \u{1f389}\n")
      assert.strictEqual(yield* Queue.take(watching.lines), "done \u{1f389}")
      yield* daemon.report(task, "failed", "no idea")
      yield* watching.ended
      assert.strictEqual(
        yield* tell(`GET /api/v1/tasks/${taskId}/output?follow=true`),
        "thinking\ndone \u{1f389}\n"
      )
      yield* daemon.disconnect
    }).pipe(Effect.scoped))

  it.effect("end when the server closes, which does not wait for them", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(HttpServer.layer(address, Layer.empty)), scope)
      const id = yield* newDirective()
      const { ended, lines } = yield* Effect.provideContext(
        open(`/api/v1/directives/${id}/events?follow=true`),
        context
      )
      assert.strictEqual((yield* nextEvent(lines)).type, "DirectiveCreated")
      yield* Scope.close(scope, Exit.void)
      yield* ended
    }).pipe(Effect.scoped), 10_000)
})
