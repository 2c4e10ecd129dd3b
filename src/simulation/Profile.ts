/** How rough a simulated world is: how much happens in it and how often what goes wrong. Data only. */

/** What may go wrong with one thing, each with its probability: a commit, a report, an agent. */
export const chances = [
  // The store
  "appendSlow",
  "appendRefused",
  "appendAnswerLost",
  "appendLate",
  "appendGone",
  "groupTorn",
  "readRefused",
  "snapshotLost",
  "snapshotTorn",
  "takeOverAnswerLost",
  "takeOverLate",
  // The runtime
  "crashBeforeCommit",
  "crashAfterCommit",
  "freezeAtCommit",
  // Agents
  "agentFails",
  "agentHangs",
  "agentSilent",
  "planEmpty",
  "planWrong",
  "planSkips",
  "prUrlMissing",
  // Daemons
  "reportTwice",
  "reportDelayed",
  "reportLate",
  "daemonLies",
  "frameReordered",
  "daemonGone",
  // Users
  "commandTwice",
  "commandUnanswered"
] as const

/** What may go wrong at any time, each with how often in an hour: of each daemon, where it is about one. */
export const rates = [
  "outage",
  "crash",
  "freeze",
  "clockJump",
  "disconnect",
  "halfOpen",
  "daemonDeath"
] as const

/** What users may do at any time, each with how often in an hour and directive. */
export const operations = [
  "addSteps",
  "changeGoal",
  "update",
  "pause",
  "resume",
  "retryStep",
  "skipStep",
  "archive",
  "setMemory",
  "removeMemory",
  "interruptTask",
  "complete",
  "trespass",
  "flood",
  "reuseKey"
] as const

export type FaultKind = (typeof chances)[number] | (typeof rates)[number]
export type OperationKind = (typeof operations)[number]

export type ProfileName = "calm" | "rough" | "storm" | "partition" | "crash"

export interface Profile {
  readonly name: string
  readonly owners: number
  readonly directives: number
  /** Of all directives together, when nobody adds any. */
  readonly steps: number
  readonly daemons: number
  /** For how long users do things and things go wrong, in virtual minutes. Afterwards everything has to settle. */
  readonly minutes: number
  /** How long that may take, in virtual minutes, which agents that are slow need more of; 60 if unset. */
  readonly settleMinutes?: number
  /** How long an agent takes, in milliseconds. */
  readonly agentMillis: readonly [min: number, max: number]
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  readonly operations: Readonly<Partial<Record<OperationKind, number>>>
}

const size = { owners: 2, directives: 5, steps: 40, daemons: 4, minutes: 50 } as const

const busy: Profile["operations"] = {
  addSteps: 0.4,
  changeGoal: 0.3,
  update: 0.3,
  pause: 0.3,
  resume: 1,
  retryStep: 2,
  skipStep: 0.6,
  archive: 0.08,
  setMemory: 0.5,
  removeMemory: 0.2,
  interruptTask: 0.3,
  complete: 0.3,
  trespass: 0.2,
  flood: 0.03,
  reuseKey: 0.1
}

const rough: Profile["faults"] = {
  appendSlow: 0.02,
  appendRefused: 0.002,
  appendAnswerLost: 0.001,
  appendLate: 0.001,
  appendGone: 0.001,
  groupTorn: 0.01,
  readRefused: 0.02,
  snapshotLost: 0.1,
  snapshotTorn: 0.05,
  crashBeforeCommit: 0.0005,
  crashAfterCommit: 0.0005,
  agentFails: 0.08,
  agentHangs: 0.02,
  agentSilent: 0.1,
  planEmpty: 0.03,
  planWrong: 0.2,
  planSkips: 0.3,
  prUrlMissing: 0.2,
  reportTwice: 0.1,
  reportDelayed: 0.1,
  reportLate: 0.02,
  daemonLies: 0.02,
  frameReordered: 0.1,
  daemonGone: 0.3,
  commandTwice: 0.2,
  commandUnanswered: 0.05,
  outage: 0.3,
  crash: 0.5,
  clockJump: 0.3,
  disconnect: 3,
  halfOpen: 0.5,
  daemonDeath: 0.5
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  /** Nothing goes wrong but agents. */
  calm: {
    ...size,
    name: "calm",
    agentMillis: [1_000, 300_000],
    faults: { agentFails: 0.05, planWrong: 0.1, agentSilent: 0.05, commandTwice: 0.1, planSkips: 0.2 },
    operations: busy
  },
  /** A bad day. */
  rough: { ...size, name: "rough", agentMillis: [1_000, 400_000], faults: rough, operations: busy },
  /** Everything at once, far more often than anybody will ever see. */
  storm: {
    ...size,
    name: "storm",
    agentMillis: [100, 200_000],
    faults: {
      ...rough,
      appendSlow: 0.1,
      appendRefused: 0.02,
      appendAnswerLost: 0.01,
      appendLate: 0.01,
      appendGone: 0.01,
      groupTorn: 0.05,
      agentFails: 0.15,
      agentHangs: 0.05,
      reportTwice: 0.3,
      reportDelayed: 0.3,
      reportLate: 0.1,
      daemonLies: 0.1,
      outage: 2,
      crash: 3,
      freeze: 1,
      clockJump: 2,
      disconnect: 20,
      halfOpen: 4,
      daemonDeath: 4,
      daemonGone: 0.1,
      freezeAtCommit: 0.001,
      takeOverAnswerLost: 0.5,
      takeOverLate: 0.02
    },
    operations: { ...busy, pause: 1, resume: 3, archive: 0.2, interruptTask: 1.5, skipStep: 1.5, changeGoal: 1 }
  },
  /** Connections break, and runtimes stand still while another takes their place. */
  partition: {
    ...size,
    name: "partition",
    agentMillis: [1_000, 300_000],
    faults: {
      appendSlow: 0.05,
      appendAnswerLost: 0.005,
      appendLate: 0.01,
      agentFails: 0.03,
      reportTwice: 0.1,
      reportDelayed: 0.3,
      reportLate: 0.1,
      frameReordered: 0.2,
      commandTwice: 0.2,
      commandUnanswered: 0.1,
      freeze: 6,
      freezeAtCommit: 0.005,
      takeOverAnswerLost: 0.5,
      takeOverLate: 0.02,
      disconnect: 20,
      halfOpen: 10,
      outage: 1
    },
    operations: busy
  },
  /** The runtime dies again and again, at its appends above all. */
  crash: {
    ...size,
    name: "crash",
    agentMillis: [1_000, 200_000],
    faults: {
      crashBeforeCommit: 0.01,
      crashAfterCommit: 0.01,
      crash: 6,
      snapshotLost: 0.2,
      snapshotTorn: 0.1,
      readRefused: 0.02,
      agentFails: 0.05,
      agentSilent: 0.1,
      reportTwice: 0.1,
      reportDelayed: 0.1,
      commandTwice: 0.2,
      daemonDeath: 2,
      daemonGone: 0.3,
      disconnect: 3
    },
    operations: busy
  }
}

/** What agents and people do wrong, which is nothing to stores, processes and connections. */
const harmless: ReadonlySet<string> = new Set<FaultKind>([
  "agentFails",
  "agentHangs",
  "agentSilent",
  "planEmpty",
  "planWrong",
  "planSkips",
  "prUrlMissing",
  "commandTwice"
])

/** Whether nothing happens to stores, processes and connections. */
export const isUndisturbed = ({ faults }: Profile): boolean =>
  Object.entries(faults).every(([kind, rate]) => rate === 0 || harmless.has(kind))
