/** `makima directive`: what people and agents do with directives through the server. */
import { Console, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { DirectiveStatus, NewStep } from "../actors/DirectiveCommand.ts"
import { StepId } from "../events/Ids.ts"
import type { CommandAnswer } from "../server/Api.ts"
import { json } from "./Configuration.ts"
import { UsageError } from "./Failure.ts"
import { clean } from "./OneLine.ts"
import { command, directiveArgument, directiveFlag, query, remoteFlags } from "./Remote.ts"

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

/** An option that is given, as a field; nothing otherwise. */
const given = <K extends string, A>(field: K, option: Option.Option<A>): { readonly [P in K]?: A } =>
  (Option.isSome(option) ? { [field]: option.value } : {}) as { readonly [P in K]?: A }

const answered = (answer: CommandAnswer, asJson: boolean) =>
  Console.log(asJson ? JSON.stringify(answer) : sentence(answer))

const sentence = ({ directiveId, note, prUrl, reason, status, steps }: CommandAnswer): string =>
  steps === undefined
    ? [
      `${directiveId} ${status}`,
      ...(reason === undefined ? [] : [clean(reason)]),
      ...(prUrl === undefined ? [] : [clean(prUrl)]),
      ...(note === undefined ? [] : [clean(note)])
    ].join("  ")
    : steps.map(({ id, name }) => `${id}  ${clean(name)}`).join("\n")

const create = Command.make("create", {
  title: Argument.String("title").pipe(Argument.withDescription("What people call it")),
  goal: Flag.String("goal").pipe(Flag.withDescription("What is to be reached")),
  repositoryUrl: text("repository-url", "The git repository, as a URL or as a path on the daemons' machine"),
  baseBranch: text("base-branch", "Where the work starts from; main by default"),
  memory: Flag.Boolean("memory").pipe(Flag.withDefault(false), Flag.withDescription("Keep memories between plans")),
  start: Flag.Boolean("start").pipe(Flag.withDefault(false), Flag.withDescription("Start it at once")),
  json,
  ...remoteFlags
}, (input) =>
  command(input, (api, headers) =>
    api.directives.create({
      headers,
      payload: {
        title: input.title,
        goal: input.goal,
        ...given("repositoryUrl", input.repositoryUrl),
        ...given("baseBranch", input.baseBranch),
        memoryEnabled: input.memory,
        start: input.start
      }
    })).pipe(Effect.flatMap((answer) => answered(answer, input.json)))).pipe(
    Command.withDescription("Make a directive")
  )

const list = Command.make("list", {
  status: Flag.Literals("status", DirectiveStatus.literals).pipe(
    Flag.optional,
    Flag.withDescription("Only those in this status")
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))),
    Flag.withDefault(50),
    Flag.withDescription("At most so many, up to 200; 50 if unset")
  ),
  cursor: text("cursor", "The nextCursor of the page before"),
  json,
  ...remoteFlags
}, (input) =>
  Effect.gen(function*() {
    const page = yield* query(input, (api) =>
      api.directives.list({
        query: { limit: input.limit, ...given("status", input.status), ...given("cursor", input.cursor) }
      }))
    if (input.json) return yield* Console.log(JSON.stringify(page))
    for (const { id, status, title } of page.items) yield* Console.log(`${id}  ${status.padEnd(8)}  ${clean(title)}`)
    if (page.items.length === 0) yield* Console.log("No directives")
    if (page.nextCursor !== undefined) yield* Console.log(`More: --cursor ${page.nextCursor}`)
  })).pipe(Command.withDescription("List directives, newest first"))

const show = Command.make(
  "show",
  { directiveId: directiveArgument, json, ...remoteFlags },
  (input) =>
    Effect.gen(function*() {
      const directive = yield* query(
        input,
        (api) => api.directives.get({ params: { id: input.directiveId }, query: {} })
      )
      if (input.json) return yield* Console.log(JSON.stringify(directive))
      const field = (name: string, value: string | null) =>
        value === null || value === "" ? [] : [`  ${name.padEnd(12)}${clean(value)}`]
      yield* Console.log([
        `${clean(directive.title)}  ${directive.status}`,
        ...field("id", directive.id),
        ...field("goal", directive.goal),
        ...field("reason", directive.reason),
        ...field("parked", directive.parked?.cause ?? null),
        ...field("repository", directive.repositoryUrl),
        ...field("branch", directive.prBranch),
        ...field("PR", directive.prUrl),
        ...directive.steps.map(({ id, name, orderIndex, status }) =>
          `  ${id}  ${String(orderIndex).padStart(3)}  ${status.padEnd(9)}  ${clean(name)}`
        )
      ].join("\n"))
    })
).pipe(Command.withDescription("Show a directive with its steps"))

/** The commands that take nothing but the directive. */
const simple = (name: "start" | "pause" | "resume" | "archive" | "complete", description: string) =>
  Command.make(
    name,
    { directiveId: directiveArgument, json, ...remoteFlags },
    (input) =>
      command(input, (api, headers) => api.directives[name]({ params: { id: input.directiveId }, headers })).pipe(
        Effect.flatMap((answer) => answered(answer, input.json))
      )
  ).pipe(Command.withDescription(description))

const update = Command.make("update", {
  directiveId: directiveArgument,
  title: text("title", "A new title"),
  goal: text("goal", "A new goal: it is planned again"),
  prUrl: text("pr-url", "The URL of its pull request"),
  repositoryUrl: text("repository-url", "Another repository; an empty one takes it away"),
  baseBranch: text("base-branch", "Another base branch"),
  json,
  ...remoteFlags
}, (input) =>
  Effect.gen(function*() {
    const payload = {
      ...given("title", input.title),
      ...given("goal", input.goal),
      ...given("prUrl", input.prUrl),
      ...given("repositoryUrl", Option.map(input.repositoryUrl, (url) => url === "" ? null : url)),
      ...given("baseBranch", input.baseBranch)
    }
    if (Object.keys(payload).length === 0) {
      return yield* new UsageError({
        message: "nothing to update: give --title, --goal, --pr-url, --repository-url or --base-branch"
      })
    }
    const answer = yield* command(input, (api, headers) =>
      api.directives.update({ params: { id: input.directiveId }, headers, payload }))
    yield* answered(answer, input.json)
  })).pipe(Command.withDescription("Change a directive"))

const addStep = Command.make("add-step", {
  name: Argument.String("name").pipe(Argument.withDescription("A short imperative")),
  description: text("description", "What is to be done, and when it is done"),
  taskPlan: text("task-plan", "Complete instructions for the agent"),
  dependsOn: Flag.String("depends-on").pipe(
    Flag.withDefault(""),
    Flag.withDescription("Ids of steps that come before it, with commas between")
  ),
  orderIndex: Flag.Int("order-index").pipe(
    Flag.withDefault(0),
    Flag.withDescription("It starts when all steps with a lower one have ended")
  ),
  directiveId: directiveFlag,
  json,
  ...remoteFlags
}, (input) =>
  command(input, (api, headers) =>
    api.directives.addSteps({
      params: { id: input.directiveId },
      headers,
      payload: {
        name: input.name,
        ...given("description", input.description),
        ...given("taskPlan", input.taskPlan),
        dependsOn: input.dependsOn.split(",").map((id) => id.trim()).filter((id) => id !== ""),
        orderIndex: input.orderIndex
      }
    })).pipe(Effect.flatMap((answer) => answered(answer, input.json)))).pipe(
    Command.withDescription("Add a step; prints its id")
  )

const batchAddSteps = Command.make("batch-add-steps", {
  json: Flag.String("json").pipe(
    Flag.withDescription("The steps as a JSON array of {name, description, taskPlan, dependsOn, orderIndex, key}")
  ),
  directiveId: directiveFlag,
  ...remoteFlags
}, (input) =>
  Effect.gen(function*() {
    const steps = yield* Schema.decodeUnknownEffect(Batch, { onExcessProperty: "error" })(input.json).pipe(
      Effect.mapError((error) => new UsageError({ message: `--json: ${error.message.replace(/\s+/g, " ")}` }))
    )
    const answer = yield* command(input, (api, headers) =>
      api.directives.addSteps({ params: { id: input.directiveId }, headers, payload: { steps } }))
    yield* answered(answer, true)
  })).pipe(Command.withDescription("Add many steps, all or none; prints their ids as JSON"))

const Batch = Schema.fromJsonString(Schema.Array(NewStep))

const ofStep = (name: "retry" | "skip", description: string) =>
  Command.make(name, {
    stepId: Argument.String("step-id").pipe(
      Argument.withSchema(StepId),
      Argument.withDescription("As directive show has it")
    ),
    directiveId: directiveFlag,
    json,
    ...remoteFlags
  }, (input) =>
    command(input, (api, headers) => {
      const request = { params: { id: input.directiveId, stepId: input.stepId }, headers }
      return name === "retry" ? api.directives.retryStep(request) : api.directives.skipStep(request)
    }).pipe(Effect.flatMap((answer) => answered(answer, input.json)))).pipe(Command.withDescription(description))

export const directive = Command.make("directive").pipe(
  Command.withDescription("Make, see and change directives"),
  Command.withSubcommands([
    create,
    list,
    show,
    simple("start", "Start it: it is planned, unless it has steps"),
    simple("pause", "Stop planning and handing over; what runs, runs on"),
    simple("resume", "Go on with it, paused or parked"),
    simple("archive", "End it, and whatever of it runs"),
    update,
    addStep,
    batchAddSteps,
    ofStep("retry", "Try a failed step again"),
    ofStep("skip", "Do without a step"),
    simple("complete", "Open the pull request although steps failed")
  ])
)
