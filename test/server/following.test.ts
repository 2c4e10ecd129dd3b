import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Layer, PubSub, Queue, Scope, Stream } from "effect"
import { TaskOutput } from "../../src/daemon/TaskOutput.ts"
import { EventLog, EventLogError } from "../../src/events/EventLog.ts"
import { TaskId } from "../../src/events/Ids.ts"
import * as HttpServer from "../../src/server/HttpServer.ts"
import { eventually } from "../support/eventually.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"
import { open, runningTask } from "./goingOn.ts"
import { alice, ask, layerRuntime, newDirective, tell } from "./server.ts"

/** What became of the log's subscriptions that the server made. */
class Subscriptions extends Context.Service<Subscriptions, Queue.Queue<"opened" | "closed">>()("test/Subscriptions") {}

/** Has all subscriptions fail that there are. */
class Breakage extends Context.Service<Breakage, PubSub.PubSub<EventLogError>>()("test/Breakage") {}

const layerWatchedLog = Layer.effect(
  EventLog,
  Effect.gen(function*() {
    const log = yield* EventLog
    const seen = yield* Subscriptions
    const breakage = yield* Breakage
    return EventLog.of({
      ...log,
      subscribe: (options) =>
        Stream.unwrap(Effect.gen(function*() {
          const broken = yield* PubSub.subscribe(breakage)
          yield* Queue.offer(seen, "opened")
          return Stream.interruptWhen(log.subscribe(options), Effect.flatMap(PubSub.take(broken), Effect.fail))
        })).pipe(Stream.ensuring(Queue.offer(seen, "closed")))
    })
  })
)

const address = { host: "127.0.0.1", port: 0 }

/** A server on the runtime that all tests share: each has its own, whose subscriptions are those of its clients. */
const layerServer = Layer.fresh(
  HttpServer.layer(address, Layer.empty).pipe(
    Layer.provide(layerWatchedLog),
    Layer.provideMerge(Layer.effect(Subscriptions, Queue.unbounded<"opened" | "closed">())),
    Layer.provideMerge(Layer.effect(Breakage, PubSub.unbounded<EventLogError>()))
  )
)

const nextEvent = (lines: Queue.Dequeue<string>) =>
  Effect.map(Queue.take(lines), (line): { position: number; type: string; stream: string } => JSON.parse(line))

layer(layerRuntime, { excludeTestServices: true })("Answers that go on", (it) => {
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
    }).pipe(Effect.provide(layerServer)))

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
    }).pipe(Effect.scoped, Effect.provide(layerServer)))

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
    }).pipe(Effect.scoped, Effect.provide(layerServer)))

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
      assert.strictEqual(yield* watching.ended, "whole")
      assert.strictEqual(
        yield* tell(`GET /api/v1/tasks/${taskId}/output?follow=true`),
        "thinking\ndone \u{1f389}\n"
      )
      yield* daemon.disconnect
    }).pipe(Effect.scoped, Effect.provide(layerServer)))

  const accept = { accept: "text/event-stream" }
  const isId = (line: string) => line.startsWith("id: ")

  it.effect(
    "end as what is whole when the server stops, and go on at the next one where they left off",
    () =>
      Effect.gen(function*() {
        const stop = yield* Scope.make()
        const layerAnother = Layer.fresh(HttpServer.layer(address, Layer.empty))
        const context = yield* Layer.buildWithScope(layerAnother, stop)
        const { id, taskId } = yield* runningTask
        const output = yield* TaskOutput
        yield* output.append(taskId, "thinking\n")
        const events = `/api/v1/directives/${id}/events?follow=true`
        const opened = yield* Effect.provideContext(
          Effect.all([open(events), open(events, accept), open(`/api/v1/tasks/${taskId}/output?follow=true`)]),
          context
        )
        const [ofLines, sent, ofTask] = opened
        for (const { lines } of [ofLines, ofTask]) yield* Queue.take(lines)
        const first = yield* Effect.repeat(Queue.take(sent.lines), { until: isId })
        yield* Scope.close(stop, Exit.void)
        assert.deepStrictEqual(yield* Effect.forEach(opened, ({ ended }) => ended), ["whole", "whole", "whole"])

        const shown = [first, ...(yield* Queue.clear(sent.lines))]
        const last = shown.findLast(isId)!.slice("id: ".length)
        const again = yield* open(events, { ...accept, "last-event-id": last })
        assert.strictEqual(yield* Queue.take(again.lines), ":")
        yield* tell(`PATCH /api/v1/directives/${id}`, { body: { title: "Welcome" } })
        const [, next] = yield* Queue.takeN(again.lines, 2)
        const after = yield* tell(`GET /api/v1/directives/${id}/events?from=${Number(last) + 1}`)
        assert.strictEqual(next, `id: ${JSON.parse(after.split("\n")[0]).position}`)
      }).pipe(Effect.scoped, Effect.provide(layerServer)),
    10_000
  )

  for (const [isRead, how] of [[true, "whole"], [false, "broken off"]] as const) {
    it.effect(
      `are ${how} when the server stops and what was there ${isRead ? "can be" : "is not"} read before that`,
      () =>
        Effect.gen(function*() {
          const log = yield* EventLog
          const rest = Latch.makeUnsafe(false)
          const read: EventLog["Service"]["read"] = (...args) =>
            Stream.concat(
              Stream.take(log.read(...args), 1),
              Stream.unwrap(Effect.as(rest.await, Stream.drop(log.read(...args), 1)))
            )
          const stop = yield* Scope.make()
          const context = yield* Layer.buildWithScope(
            Layer.fresh(HttpServer.layer(address, Layer.empty)).pipe(
              Layer.provide(Layer.succeed(EventLog)({ ...log, read }))
            ),
            stop
          )
          const id = yield* newDirective({ start: true })
          const { length } = (yield* tell(`GET /api/v1/directives/${id}/events`)).trim().split("\n")
          const opened = yield* Effect.provideContext(open(`/api/v1/directives/${id}/events?follow=true`), context)
          yield* Queue.take(opened.lines)
          const stopping = yield* Effect.forkChild(Scope.close(stop, Exit.void))
          const url = yield* Effect.provideContext(HttpServer.url, context)
          const isListening = Effect.isSuccess(Effect.tryPromise(() => fetch(url)))
          yield* eventually("the server takes nobody any more", Effect.map(isListening, (is) => !is))
          if (isRead) rest.openUnsafe()
          assert.strictEqual(yield* opened.ended, how)
          assert.lengthOf(yield* Queue.clear(opened.lines), isRead ? length - 1 : 0)
          yield* Fiber.join(stopping)
        }).pipe(Effect.scoped, Effect.provide(layerServer)),
      10_000
    )
  }

  it.effect("break off when the log does, so that nobody takes them for whole", () =>
    Effect.gen(function*() {
      const seen = yield* Subscriptions
      const { id, taskId } = yield* runningTask
      const output = yield* TaskOutput
      yield* output.append(taskId, "thinking\n")
      const events = `/api/v1/directives/${id}/events?follow=true`
      const opened = [
        yield* open(events),
        yield* open(events, accept),
        yield* open(`/api/v1/tasks/${taskId}/output?follow=true`)
      ]
      for (const { lines } of opened) yield* Queue.take(lines)
      assert.deepStrictEqual(yield* Queue.takeN(seen, 3), ["opened", "opened", "opened"])
      yield* PubSub.publish(
        yield* Breakage,
        new EventLogError({ method: "follow", cause: new Error("the connection is gone") })
      )
      for (const { ended } of opened) assert.strictEqual(yield* ended, "broken off")
    }).pipe(Effect.scoped, Effect.provide(layerServer)), 10_000)
})
