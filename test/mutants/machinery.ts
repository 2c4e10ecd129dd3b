/** Mistakes in the loop, the log, recovery, supervision and leases. */
import type { Mutant } from "./Mutant.ts"

export const inMachinery: ReadonlyArray<Mutant> = [
  {
    name: "reply-before-append",
    wrong: "Whoever asks is answered before it is in the log.",
    file: "src/actors/internal/loop.ts",
    find: "    const recorded = events.length === 0\n",
    replace: `    for (const [index, { reply }] of messages.entries()) {
      const outcome = outcomes[index]!
      if (reply === undefined || Result.isFailure(outcome)) continue
      const position = current.position + events.length
      Deferred.doneUnsafe(reply, Effect.succeed({ answer: outcome.success, position }))
    }
    const recorded = events.length === 0
`
  },
  {
    name: "frames-before-append",
    wrong: "Frames are sent before what they follow from is in the log, and once more after that.",
    file: "src/actors/internal/loop.ts",
    find: `    const recorded = events.length === 0
      ? []
      : yield* log.append(`,
    replace: `    if (events.length > 0) yield* behaviour.react(events, state, self)
    const recorded = events.length === 0
      ? []
      : yield* log.append(`
  },
  {
    name: "claim-after-reading",
    wrong: "An actor reads its stream before it claims it, so that what is under way comes in between.",
    file: "src/actors/internal/loop.ts",
    find: `    const [epoch = 0] = yield* log.claim([stream], yield* NodeName)
    const { snapshotVersion, ...folded } = yield* recover(log, stream, behaviour)
`,
    replace: `    const { snapshotVersion, ...folded } = yield* recover(log, stream, behaviour)
    const [epoch = 0] = yield* log.claim([stream], yield* NodeName)
`
  },
  {
    name: "nothing-done-on-recovery",
    wrong: "An actor that comes back arms no timer and hands nothing over until a message comes.",
    file: "src/actors/internal/loop.ts",
    find: "    yield* batch(behaviour.recovered(current.state).map(unasked))\n",
    replace: `    const told = behaviour.recovered(current.state).map(unasked)
    if (told.length > 0) yield* batch(told)
`
  },
  {
    name: "waiting-asks-forgotten",
    wrong: "Whoever waits for an answer of an actor that fails is told nothing.",
    file: "src/actors/internal/loop.ts",
    find: "Effect.sync(() => refuseAll(stream, messages, reasonIn(exit.cause, \"it is stopping\")))",
    replace: "Effect.logDebug(reasonIn(exit.cause, \"it is stopping\"))"
  },
  {
    name: "epoch-not-checked",
    wrong: "Whoever has lost a stream may go on appending to it.",
    file: "src/events/internal/check.ts",
    find: "  epoch === current ? undefined",
    replace: "  epoch <= current ? undefined"
  },
  {
    name: "last-event-folded-twice",
    wrong: "The last event of a snapshot is applied to it again.",
    file: "src/actors/internal/recovery.ts",
    find: `      isItsOwn = recorded.version === version && recorded.position === position
      return current`,
    replace: `      isItsOwn = recorded.version === version && recorded.position === position
      return next(current, recorded)`
  },
  {
    name: "snapshot-one-event-ahead",
    wrong: "A snapshot says that it is one event further than its state.",
    file: "src/actors/internal/keeper.ts",
    find: "snapshots.save({ stream, version, position,",
    replace: "snapshots.save({ stream, version: version + 1, position,"
  },
  {
    name: "queue-reversed-in-snapshot",
    wrong: "What waits in a snapshot is read back in the wrong order.",
    file: "src/actors/internal/codec.ts",
    find: ".reduceRight<List<A>>(",
    replace: ".reduce<List<A>>("
  },
  {
    name: "wake-up-lost-in-log",
    wrong: "Who follows the log subscribes after having looked, so that a commit in between goes unnoticed.",
    file: "src/events/internal/follow.ts",
    find: "        yield* PubSub.takeAll(commits)\n",
    replace: "        yield* Effect.scoped(Effect.flatMap(PubSub.subscribe(heads), PubSub.takeAll))\n"
  },

  {
    name: "single-commits-not-announced",
    wrong: "Only commits of several events wake those who follow the log.",
    file: "src/events/internal/memory.ts",
    find: "        if (recorded.length > 0) yield*",
    replace: "        if (recorded.length > 1) yield*"
  },
  {
    name: "event-seen-twice",
    wrong: "A page begins with the last event of the page before.",
    file: "src/events/internal/memory.ts",
    find: "    if (placeOf(sorted[middle]!) > place) high = middle",
    replace: "    if (placeOf(sorted[middle]!) >= place) high = middle"
  },
  {
    name: "half-an-append",
    wrong: "An append to several streams is refused only for the first of them.",
    file: "src/events/internal/memory.ts",
    find: "        for (const part of appends) {\n",
    replace: "        for (const part of appends.slice(0, 1)) {\n"
  },
  {
    name: "outages-count-as-failures",
    wrong: "An actor is parked because the store was away.",
    file: "src/actors/Supervisor.ts",
    find: "  if (!outage && recent.filter((failure) => !failure.outage).length >= restartsMax) {",
    replace: "  if (recent.length >= restartsMax) {"
  },
  {
    name: "failed-actor-not-restarted",
    wrong: "An actor that failed stays away until somebody needs it.",
    file: "src/actors/SupervisorActor.ts",
    find: "              yield* sleepUntil(verdict.at)\n              continue\n",
    replace: "              yield* sleepUntil(verdict.at)\n              break\n"
  },
  {
    name: "late-take-over-counts",
    wrong: "A take-over that was given up moves owners to a process that has looked already what it has.",
    file: "src/actors/MemoryLeases.ts",
    find: "row.renewals !== renewals",
    replace: "row.renewals < 0"
  },
  {
    name: "late-take-over-judges",
    wrong: "A take-over that was sent before a break takes for dead whoever could not renew either.",
    file: "src/actors/MemoryLeases.ts",
    find: "const judges = judging && now - row.renewedAt <= times.killedMillis",
    replace: "const judges = judging"
  },
  {
    name: "late-claim-taken-for-a-take-over",
    wrong: "An actor is left to another process that its own process has shut out by a claim that came late.",
    file: "src/actors/SupervisorActor.ts",
    find: "Effect.map(ledger.isOwn(address), (isOwn) => !isOwn)",
    replace: "Effect.succeed(true)"
  },
  {
    name: "stranger-not-refused",
    wrong: "A directive takes commands of an owner to whom it does not belong.",
    file: "src/actors/DirectiveActor.ts",
    find:
      "            if (owners.get(directiveId) !== options.ownerId) return yield* new DirectiveNotFound({ directiveId })\n",
    replace: ""
  },
  {
    name: "taken-over-and-forgotten",
    wrong: "What is taken over from a process that has died is not gone on with.",
    file: "src/actors/internal/holder.ts",
    find: "    if (owners.length > 0) yield* Queue.offer(takenOver, owners)\n",
    replace: ""
  },
  {
    name: "lost-lease-unnoticed",
    wrong: "A process that another has taken over from goes on as if nothing had happened.",
    file: "src/actors/internal/holder.ts",
    find: "    if (!(yield* table.renew)) return yield* lose\n",
    replace: "    if (!(yield* table.renew)) return\n"
  },
  {
    name: "lease-valid-for-too-long",
    wrong: "A process sends frames although another may have taken over.",
    file: "src/actors/internal/validity.ts",
    find: "  elapsed(sent, now) < times.killedMillis",
    replace: "  elapsed(sent, now) < 100 * times.ttlMillis"
  },
  {
    name: "taken-over-without-a-fence",
    wrong: "Whoever takes over from a process does not shut it out of the log.",
    file: "src/actors/MemoryLeases.ts",
    find: "yield* Effect.onError(claim(name), ",
    replace: "yield* Effect.onError(Effect.void, "
  },
  {
    name: "unanswered-take-over-forgotten",
    wrong: "What was taken over without this process being told is not gone on with.",
    file: "src/actors/internal/holder.ts",
    find: "          mayHaveMore = true\n",
    replace: ""
  },
  {
    name: "judges-after-a-break",
    wrong: "Whoever could not renew either takes the others for dead as soon as it can again.",
    file: "src/actors/internal/validity.ts",
    find: "before === undefined || elapsed(before.sent, sent) > times.killedMillis / 2 ? sent : before.since",
    replace: "before === undefined ? sent : before.since"
  },
  {
    name: "claims-not-fenced",
    wrong: "What a process that was shut out still claims is taken from the one that has it.",
    file: "src/actors/FencedLog.ts",
    find: "log.claim(streams, owner, fence)",
    replace: "log.claim(streams, owner)"
  },
  {
    name: "torn-snapshot-believed",
    wrong: "A snapshot counts although its state is not the one that it was taken of.",
    file: "src/actors/internal/recovery.ts",
    find: "  if (!isWhole(snapshot)) return",
    replace: "  if (snapshot.version === 0) return"
  },

  {
    name: "old-answers-not-looked-up",
    wrong: "A key is new when its answer is not in the state any more.",
    file: "src/actors/internal/answers.ts",
    find: "HashMap.size(state.answers) >= answersMax",
    replace: "HashMap.size(state.answers) > answersMax"
  },
  {
    name: "key-of-another-command",
    wrong: "A command gets the answer to another one that came with its key.",
    file: "src/actors/internal/answers.ts",
    find: "  return isRepeat\n",
    replace: "  return isRepeat || first !== \"\"\n"
  },
  {
    name: "made-where-another-has-it",
    wrong: "Who makes a directive takes it from the process that has it, as that of another owner.",
    file: "src/actors/DirectiveActor.ts",
    find: "        if (known !== undefined && known !== ownerId) return yield* new DirectiveExists({ directiveId })\n",
    replace: ""
  }
]
