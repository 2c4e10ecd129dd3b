/**
 * Whoever sends commands over the network: people and agents. A request may be lost with its process, be sent twice, or be
 * given up; with an idempotency key it is then sent again until there is an answer.
 */
import { Effect, Exit } from "effect"
import { Directives } from "../../actors/DirectiveActor.ts"
import type { DirectiveAnswer, DirectiveCommand, Rejection } from "../../actors/DirectiveCommand.ts"
import type { ActorUnavailable, Answered } from "../../actors/internal/mailbox.ts"
import type { DirectiveId, OwnerId } from "../../events/Ids.ts"
import type { World } from "./world.ts"

export interface Request {
  readonly directiveId: DirectiveId
  /** Who asks, whosever the directive is. */
  readonly ownerId: OwnerId
  readonly command: DirectiveCommand
  readonly commandId: string | undefined
}

export type Response = Exit.Exit<Answered<DirectiveAnswer>, Rejection | ActorUnavailable>

/** How long a client waits for an answer before it takes the request for lost. */
const patienceMillis = 30_000
const triesMax = 40

export class Client {
  readonly #world: World
  /** How many requests have no answer yet and are not given up, or are still to be sent. */
  waiting = 0

  constructor(world: World) {
    this.#world = world
  }

  /** `done` gets the answer, or nothing when it was given up. */
  send(request: Request, done: (response: Response | undefined) => void = () => {}): void {
    const { faults } = this.#world
    const { command, commandId, directiveId } = request
    this.#world.checks.onRequest(request)
    const about = `${command._tag} ${commandId ?? directiveId}`
    let isDone = false
    this.waiting += 1
    const finish = (response: Response | undefined) => {
      if (isDone) return
      isDone = true
      this.waiting -= 1
      done(response)
    }
    this.#try(request, about, 1, () => isDone, finish)
    if (
      commandId !== undefined &&
      faults.strikes("commandTwice", about, () => `${command._tag} (${commandId}) is sent twice`)
    ) {
      const wait = faults.chance(`again ${about}`).spread(1, 60_000)
      this.#world.time.after(wait, () => this.#try(request, `${about} again`, triesMax, () => false, () => {}))
    }
  }

  /** What somebody is about to ask is under way, too. */
  sendLater(millis: number, request: Request): void {
    this.waiting += 1
    this.#world.time.after(millis, () => {
      this.waiting -= 1
      this.send(request)
    })
  }

  #try(
    request: Request,
    about: string,
    count: number,
    isDone: () => boolean,
    finish: (response: Response | undefined) => void
  ): void {
    if (isDone()) return
    const { checks, cluster, faults, time } = this.#world
    const { command, commandId, directiveId, ownerId } = request
    let isSettled = false
    const again = () => {
      if (isSettled) return
      isSettled = true
      // Without a key nobody knows whether a repeat would be one.
      if (commandId === undefined || count >= triesMax) return finish(undefined)
      time.after(
        1_000 + faults.chance(`wait ${about} ${count}`).below(2_000),
        () => this.#try(request, about, count + 1, isDone, finish)
      )
    }
    const machine = cluster.pick(faults.chance(`way of ${about} ${count}`))
    if (machine === undefined) return again()
    if (
      count < triesMax && commandId !== undefined &&
      faults.strikes("commandUnanswered", `${about} ${count}`, () => `nobody waits for the answer to ${about}`)
    ) {
      time.after(faults.chance(`gives up ${about} ${count}`).spread(1, 1_000), again)
    } else time.after(patienceMillis, again)
    const ask = Effect.flatMap(
      Directives,
      (directives) =>
        directives.ask(directiveId, command, { ownerId, ...(commandId === undefined ? {} : { commandId }) })
    )
    machine.run(ask, (response) => {
      checks.onResponse(request, response, machine)
      if (isSettled) return
      const error = Exit.isFailure(response) ? Exit.findErrorOption(response) : undefined
      if (error?._tag === "Some" && error.value._tag === "ActorUnavailable") return again()
      isSettled = true
      finish(response)
    }, again)
  }
}
