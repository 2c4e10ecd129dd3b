/** Mistakes in sessions with daemons, in their registry and in how their slots are given out. */
import type { Mutant } from "./Mutant.ts"

export const inDaemons: ReadonlyArray<Mutant> = [
  {
    name: "ready-before-first-heartbeat",
    wrong: "A daemon that is back gets tasks before it has said which it still has.",
    file: "src/daemon/DaemonSession.ts",
    find: "      if (!wasKnown) return daemons.ready(session)\n",
    replace: "      if (!wasKnown || !isOver) return daemons.ready(session)\n"
  },
  {
    name: "authenticated-before-recorded",
    wrong: "A daemon is told that it is here before that is in the log.",
    file: "src/daemon/DaemonSession.ts",
    find: "      yield* daemons.connect(session)\n",
    replace: `      yield* daemons.connect(session)
      yield* send({ type: "authenticated", daemonId, ...(acknowledges ? { acknowledgements: true } : {}) })
`
  },
  {
    name: "given-up-at-first-sight",
    wrong: "A task that is missing from one heartbeat is taken from its daemon, whose frame may be on its way.",
    file: "src/daemon/internal/inventory.ts",
    find: "const isCertain = since !== undefined && now - since >= heartbeatMillis / 2",
    replace: "const isCertain = true"
  },
  {
    name: "missing-tasks-never-noticed",
    wrong: "What a daemon does not list any more stays its own.",
    file: "src/daemon/internal/inventory.ts",
    find: "    missing = stillMissing\n",
    replace: ""
  },
  {
    name: "foreign-tasks-take-no-room",
    wrong: "What a daemon does for nobody takes no room at it.",
    file: "src/daemon/internal/inventory.ts",
    find: "    daemons.foreign(ownerId, daemonId, activeTasks.filter((taskId) => !own.has(taskId)))\n",
    replace: ""
  },
  {
    name: "unwanted-work-not-stopped",
    wrong: "A daemon that says it has a task that nobody wants any more is left at it.",
    file: "src/daemon/internal/inventory.ts",
    find: "      if (known?.open === false || interrupting.has(taskId)) {",
    replace: "      if (listed.size < 0 && (known?.open === false || interrupting.has(taskId))) {"
  },
  {
    name: "report-given-up",
    wrong: "A report that its directive cannot take now is thrown away.",
    file: "src/daemon/internal/reports.ts",
    find: `if (error._tag !== "ActorUnavailable") {`,
    replace: "if (String(error._tag) !== \"\") {"
  },
  {
    name: "acknowledged-before-recorded",
    wrong: "A daemon hears that its report was dealt with before it was.",
    file: "src/daemon/internal/reports.ts",
    find: "    let waitsFor: string | undefined\n",
    replace: "    let waitsFor: string | undefined\n    yield* settle(report)\n"
  },
  {
    name: "earlier-end-frees-the-later",
    wrong: "The end of an earlier hand-over frees the room of a later one on the same daemon.",
    file: "src/actors/Daemons.ts",
    find: "if (handOver >= (entry.foreign.get(taskId) ?? 0)) Slots.removeForeign(entry, taskId)",
    replace: "if (handOver > 0) Slots.removeForeign(entry, taskId)"
  },
  {
    name: "interrupt-not-sent",
    wrong: "A daemon is not told that its task is to be stopped.",
    file: "src/actors/internal/places.ts",
    find: "      return current === undefined\n        ? Effect.void",
    replace: "      return current?.failed !== true\n        ? Effect.void"
  },
  {
    name: "old-connection-takes-new-along",
    wrong: "The end of an earlier connection takes the place of the new one away.",
    file: "src/actors/Daemons.ts",
    find: "          if (entry.session !== undefined && entry.session !== session) return false\n",
    replace: ""
  },
  {
    name: "returned-daemon-stays-lost",
    wrong: "The tasks of a daemon that was lost and is back are taken from it for ever.",
    file: "src/actors/Daemons.ts",
    find: "            entry.isLost = false\n",
    replace: ""
  },
  {
    name: "slots-kept-from-before",
    wrong: "A directive that starts anew holds what it held before as well.",
    file: "src/actors/Daemons.ts",
    find: "          Slots.letGo(fleet, entry, taskId)\n          changed.add(entry)\n        }\n        for",
    replace: "          changed.add(entry)\n        }\n        for"
  },
  {
    name: "failed-task-keeps-its-slot",
    wrong: "The slot of a task that failed is not given back.",
    file: "src/actors/internal/places.ts",
    find: `    case "TaskCompleted":\n    case "TaskFailed":\n    case "TaskInterrupted": {\n      const its`,
    replace: `    case "TaskCompleted":\n    case "TaskInterrupted": {\n      const its`
  },
  {
    name: "superseded-work-takes-no-room",
    wrong: "The slot of a daemon that works on for nothing counts as free at once.",
    file: "src/actors/internal/places.ts",
    find: "    if (newer !== undefined) daemons.drain(",
    replace: "    if (newer !== undefined) daemons.release("
  },
  {
    name: "slot-of-the-same-daemon-given-back",
    wrong: "A late success gives back the slot in which its daemon is at the task again.",
    file: "src/actors/internal/places.ts",
    find: "      if (its === undefined || supersededBy(state, event)?.daemonId === its.daemonId) return []\n",
    replace: "      if (its === undefined) return []\n"
  },
  {
    name: "ended-slot-counted-twice",
    wrong: "A slot counts twice when a batch ends its task twice.",
    file: "src/actors/internal/turns.ts",
    find: "  return new Map(Array.from(endings, ([entry, { size }]) => [entry, size]))",
    replace: `  return new Map(
    Array.from(endings.keys(), (entry) => [entry, ending.filter((one) => one.daemonId === entry.daemonId).length])
  )`
  },
  {
    name: "nobody-waits-for-room",
    wrong: "A directive that lacks room does not stand in the line.",
    file: "src/actors/internal/turns.ts",
    find: "  } else if (!fleet.line.has(directiveId)) fleet.line.join(directiveId, wake)\n",
    replace: "  }\n"
  },
  {
    name: "exclusion-of-the-wrong-time",
    wrong: "Daemons are left out once their exclusion is over, and not before.",
    file: "src/actors/internal/places.ts",
    find: "until > now",
    replace: "until < now"
  },
  {
    name: "daemon-lost-at-once",
    wrong: "A daemon whose connection ended is lost at the next occasion, without a grace period.",
    file: "src/actors/DaemonRegistry.ts",
    find: `status === "suspect" && lostAt! <= now`,
    replace: `status === "suspect"`
  },
  {
    name: "reconnect-leaves-the-timer",
    wrong: "A daemon that is back still has the time at which it is to be lost.",
    file: "src/actors/DaemonRegistry.ts",
    find: `{ id: daemonId, ...rest, status: "connected", lostAt: undefined }`,
    replace: `{
        id: daemonId,
        ...rest,
        status: "connected",
        lostAt: state.daemons.get(daemonId)?.lostAt
      }`
  },
  {
    name: "restart-awaits-nobody",
    wrong: "Daemons that do not come back after a restart are never missed.",
    file: "src/actors/DaemonRegistry.ts",
    find: "status !== \"lost\" && !command.here.includes(id)",
    replace: "status === \"suspect\" && !command.here.includes(id)"
  },
  {
    name: "loss-not-passed-on",
    wrong: "The directives of a lost daemon are not told.",
    file: "src/actors/DaemonRegistryActor.ts",
    find: "            if (lost.length > 0) yield* Effect.forkIn(tellAbandoned(ownerId), scope)\n",
    replace: ""
  },
  {
    name: "frame-with-the-first-number",
    wrong: "The frame of a later hand-over has the number of the first.",
    file: "src/daemon/spawnTask.ts",
    find: "  directiveId,\n  handOver\n",
    replace: "  directiveId,\n  handOver: Math.min(handOver, 1)\n"
  },
  {
    name: "slots-of-the-refused-kept",
    wrong: "A directive whose creation the store refused keeps the slots that it had chosen.",
    file: "src/actors/DirectiveActor.ts",
    find: "            if (begun !== undefined) daemons.restore(begun.ownerId, begun.directiveId, [])\n",
    replace: ""
  },
  {
    name: "slot-freed-twice",
    wrong: "A slot is free when its task is let go, although its daemon is still at it.",
    file: "src/actors/internal/slots.ts",
    find: "  if (!entry.foreign.has(taskId)) entry.load -= 1\n",
    replace: "  entry.load -= 1\n"
  },
  {
    name: "whoever-asks-gets-all",
    wrong: "A directive gets all the slots there are, whoever else waits.",
    file: "src/actors/internal/turns.ts",
    find: "waiting + fleet.turns.size === 0 ? free : isNext ? Math.min(1, free) : 0",
    replace: "waiting + fleet.turns.size === 0 || isNext ? free : free"
  },
  {
    name: "daemon-where-it-came",
    wrong: "A daemon connects to the process that it gets to, whichever has its owner.",
    file: "src/actors/DaemonRegistryActor.ts",
    find: "return Effect.andThen(requireHere(leases, ownerId), supervisor.actor(streamOf(ownerId), behaviour))",
    replace: "return supervisor.actor(streamOf(ownerId), behaviour)"
  },

  {
    name: "room-never-shrinks",
    wrong: "The room of an owner's daemons counts what each of them had before as well.",
    file: "src/actors/internal/slots.ts",
    find: "  fleet.room += free - entry.free\n",
    replace: "  fleet.room += Math.max(0, free - entry.free)\n"
  }
]
