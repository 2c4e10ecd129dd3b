/** Where a task is, or what it waits for, in a sentence or two. */
import type * as Directive from "../../actors/Directive.ts"
import { currentHandOver, stepOf } from "../../actors/DirectiveState.ts"
import { type Daemon, isoTime, isOverFront, nameCharsMax, type Scene, withStatus } from "./scene.ts"
import { counted, listed, quoted } from "./text.ts"

export const ofTask = (scene: Scene, task: Directive.Task): string => {
  const { daemons } = scene
  const current = currentHandOver(task)
  if (task.status === "pending" || current === undefined) return ofWaiting(scene, task)
  const daemon = daemons.find((one) => one.daemonId === current.daemonId)
  const host = daemon === undefined ? `daemon ${current.daemonId}` : quoted(daemon.hostname, nameCharsMax)
  const where = task.status === "starting"
    ? `Its task was handed to ${host} (hand-over ${current.handOver}), which has not said yet that it runs.`
    : `Its task runs on ${host} since hand-over ${current.handOver}.`
  const silent = daemon?.status === "suspect" ? " That daemon is silent at the moment." : ""
  return `${where}${silent}${task.interrupting ? " It is being interrupted." : ""}`
}

const ofWaiting = (scene: Scene, task: Directive.Task): string => {
  const { canGoOut, front, state } = scene
  const inVain = task.handOvers.length === 0
    ? ""
    : ` It was handed over ${counted(task.handOvers.length, "time")} before.`
  if (canGoOut.has(task.id)) return ofNoDaemon(scene, task) + inVain
  const overtaken = task.stepId !== undefined && isOverFront(scene, stepOf(state, task.stepId)!)
  return (state.status === "active" && overtaken
    ? `Its task waits: a later plan put steps with orderIndex ${front[0]!.orderIndex} first: ${
      listed(front, withStatus)
    }.`
    : `Its task waits because the directive is ${state.status}.`) + inVain
}

const ofNoDaemon = ({ daemons, now }: Scene, task: Directive.Task): string => {
  const host = (daemon: Daemon) => quoted(daemon.hostname, nameCharsMax)
  const connected = daemons.filter((daemon) => daemon.status === "connected")
  const silent = daemons.filter((daemon) => daemon.status === "suspect")
  const leftOutUntil = (daemon: Daemon) =>
    task.exclusions.find((one) => one.daemonId === daemon.daemonId && one.until > now)?.until
  const usable = connected.filter((daemon) => leftOutUntil(daemon) === undefined)
  const withRoom = usable.find((daemon) => daemon.free > 0)
  if (withRoom !== undefined) return `Its task is about to go to ${host(withRoom)}, which has room.`
  const reasons = [
    ...(connected.length === 0 ? ["none is connected"] : []),
    ...(usable.length > 0 ? [`${listed(usable, host)} ${usable.length === 1 ? "is" : "are"} busy`] : []),
    ...connected.filter((daemon) => !usable.includes(daemon)).map((daemon) =>
      `${host(daemon)} failed to take it and is left out until ${isoTime(leftOutUntil(daemon)!)}`
    ),
    ...(silent.length > 0 ? [`${listed(silent, host)} ${silent.length === 1 ? "is" : "are"} silent`] : [])
  ]
  return `Its task waits for a daemon: ${reasons.join("; ")}.`
}
