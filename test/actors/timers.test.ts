/**
 * Goal: every time that something waits for is a fact in the log, so that a runtime that starts anew arms it again, and
 * what is due happens once: at its time, or at once when that came while no runtime was there. Method: each kind of timer
 * begins in one life of the runtime; the next one starts before it is due, or a day later. There is no deadline for a
 * hand-over: a daemon that has it is here, or the grace period ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DaemonRegistries, streamOf as registryOf } from "../../src/actors/DaemonRegistryActor.ts"
import { Directives } from "../../src/actors/DirectiveActor.ts"
import { DaemonEvent } from "../../src/events/DaemonEvent.ts"
import { DirectiveEvent } from "../../src/events/DirectiveEvent.ts"
import { EventLog, type RecordedEvent } from "../../src/events/EventLog.ts"
import { SupervisorEvent } from "../../src/events/SupervisorEvent.ts"
import { ask, create, server, settle, stream } from "../support/actors.ts"
import * as ControlledLog from "../support/controlledLog.ts"
import { directiveId, ownerId } from "../support/directive.ts"
import { connectDaemon } from "../support/fakeDaemon.ts"

type InServer = Effect.Effect<
  void,
  unknown,
  Effect.Services<typeof resume> | Effect.Services<ReturnType<typeof connectDaemon>> | ControlledLog.Control | EventLog
>

interface Timer {
  /** The field that says when. */
  readonly fact: string
  /** In which stream it is. */
  readonly stream: string
  readonly begin: InServer
  /** Whether this is what happens when it is due. */
  readonly isDone: (event: RecordedEvent["event"]) => boolean
  /** What a runtime does when it comes up, apart from its own start. */
  readonly goOn: InServer
  /** How long it takes anew from the start of a runtime. */
  readonly anewMillis?: number
}

const resume = Effect.gen(function*() {
  yield* (yield* DaemonRegistries).resume(ownerId)
  yield* (yield* Directives).resume(directiveId)
})

const repositoryUrl = "/repository"

const timers: Record<string, Timer> = {
  "the next attempt of a completion": {
    fact: "CompletionDelayed.until",
    stream,
    begin: Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create([{ name: "a" }])
      yield* ask({ _tag: "UpdateDirective", repositoryUrl })
      yield* daemon.report(yield* daemon.nextTask, "completed")
      yield* daemon.report(yield* daemon.nextTask, "failed", "no network")
    }),
    isDone: (event) => event._tag === "TaskCreated" && event.attempt === 2,
    goOn: resume
  },
  "the end of a daemon's exclusion": {
    fact: "HandOverFailed.excludedUntil",
    stream,
    begin: Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* create([{ name: "a" }])
      const { handOver, taskId } = yield* daemon.nextTask
      yield* ask({ _tag: "FailHandOver", taskId, handOver, reason: "it does not have it" })
    }),
    isDone: (event) => event._tag === "TaskHandedOver" && event.handOver === 2,
    goOn: Effect.andThen(connectDaemon(ownerId, "one"), resume)
  },
  "the grace period of a daemon": {
    fact: "DaemonSuspected.lostAt",
    stream: registryOf(ownerId),
    begin: Effect.gen(function*() {
      const daemon = yield* connectDaemon(ownerId, "one")
      yield* daemon.disconnect
    }),
    isDone: (event) => event._tag === "DaemonLost",
    // No directive is there, so the registry alone goes on.
    goOn: Effect.flatMap(DaemonRegistries, (registries) => registries.resume(ownerId)),
    // While no server was there, no daemon could come back: it has all of the time from then on.
    anewMillis: 120_000
  },
  "the restart of an actor": {
    fact: "ActorRestartScheduled.at",
    stream: "supervisor-local",
    begin: Effect.gen(function*() {
      const control = yield* ControlledLog.Control
      yield* create([{ name: "a" }])
      control.fails = (of) => of === stream
      yield* Effect.exit(ask({ _tag: "PauseDirective" }))
      yield* settle
      control.fails = () => false
    }),
    isDone: (event) => event._tag === "ActorStarted" && event.address === stream,
    goOn: Effect.void
  }
}

/** Until then nobody's message starts an actor that another process has; nothing happens by itself when it is over. */
const noTimers = ["ActorTakenOver.until"]

const recorded = (of: string) => Effect.flatMap(EventLog, (log) => Stream.runCollect(log.read(of)))

/** When it is due, as the log says. */
const dueIn = Effect.fnUntraced(function*(timer: Timer) {
  const [tag, field] = timer.fact.split(".") as [string, string]
  const fact = (yield* recorded(timer.stream)).findLast(({ event }) => event._tag === tag)
  assert.isDefined(fact, `${timer.fact} is in the log`)
  return { dueAt: (fact.event as unknown as Record<string, number>)[field]!, version: fact.version, since: fact.at }
})

/** When it was done, after the fact with this version. */
const doneIn = (timer: Timer, version: number) =>
  Effect.map(
    recorded(timer.stream),
    (all) => all.filter((one) => one.version > version && timer.isDone(one.event)).map(({ at }) => at)
  )

describe("Timers", () => {
  it("are all here", () => {
    const facts = [DirectiveEvent, DaemonEvent, SupervisorEvent].flatMap(({ cases }) =>
      Object.entries(cases).flatMap(([tag, { fields }]) =>
        Object.keys(fields)
          .filter((field) => /until|lostAt|due/i.test(field) || (field === "at" && tag.endsWith("Scheduled")))
          .map((field) => `${tag}.${field}`)
      )
    )
    assert.sameMembers(facts, [...Object.values(timers).map(({ fact }) => fact), ...noTimers])
  })

  for (const [name, timer] of Object.entries(timers)) {
    it.effect(`${name}: armed again by a runtime that starts before it is due, and done once`, () =>
      Effect.gen(function*() {
        yield* timer.begin.pipe(Effect.provide(server()))
        const { dueAt, since, version } = yield* dueIn(timer)
        assert.isAbove(dueAt, since)
        yield* TestClock.setTime(since + Math.floor((dueAt - since) / 2))
        const due = timer.anewMillis === undefined ? dueAt : since + Math.floor((dueAt - since) / 2) + timer.anewMillis
        yield* Effect.gen(function*() {
          yield* timer.goOn
          yield* settle
          yield* TestClock.setTime(due - 1)
          yield* settle
          assert.deepStrictEqual(yield* doneIn(timer, version), [])
          yield* TestClock.setTime(due)
          yield* settle
          assert.deepStrictEqual(yield* doneIn(timer, version), [due])
          yield* TestClock.adjust("1 minute")
          yield* settle
          assert.deepStrictEqual(yield* doneIn(timer, version), [due])
        }).pipe(Effect.provide(server()))
        // What is done is done, for the next runtime as well.
        yield* Effect.gen(function*() {
          if (timer.stream === stream) yield* resume
          else yield* timer.goOn
          yield* TestClock.adjust("1 minute")
          yield* settle
        }).pipe(Effect.provide(server()))
        assert.strictEqual((yield* doneIn(timer, version)).length, 1)
      }).pipe(Effect.provide(ControlledLog.layer)))

    it.effect(`${name}: done once by a runtime that starts when it is long due`, () =>
      Effect.gen(function*() {
        yield* timer.begin.pipe(Effect.provide(server()))
        const { dueAt, version } = yield* dueIn(timer)
        const start = dueAt + 86_400_000
        yield* TestClock.setTime(start)
        assert.deepStrictEqual(yield* doneIn(timer, version), [])
        yield* Effect.gen(function*() {
          yield* timer.goOn
          yield* settle
          yield* TestClock.adjust(timer.anewMillis ?? 0)
          yield* settle
          assert.deepStrictEqual(yield* doneIn(timer, version), [start + (timer.anewMillis ?? 0)])
          yield* TestClock.adjust("1 minute")
          yield* settle
          assert.strictEqual((yield* doneIn(timer, version)).length, 1)
        }).pipe(Effect.provide(server()))
      }).pipe(Effect.provide(ControlledLog.layer)))
  }
})
