import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connectDaemon } from "../support/fakeDaemon.ts"
import { ask, carol, layerServer, newDirective, tell } from "./server.ts"

const nowhere = "00000000-0000-4000-8000-000000000000"

layer(layerServer, { excludeTestServices: true })("The HTTP API", (it) => {
  it.effect("creates, lists, shows and changes directives", () =>
    Effect.gen(function*() {
      const created = yield* ask("POST /api/v1/directives", {
        body: { title: "Greet", goal: "Say hello", repositoryUrl: "https://example.com/r.git" }
      })
      assert.strictEqual(created.status, 201)
      const { directiveId, position } = created.body
      assert.deepStrictEqual(created.body, { directiveId, status: "draft", goalRevision: 1, position })

      const updated = yield* tell(`PATCH /api/v1/directives/${directiveId}`, { body: { goal: "Say goodbye" } })
      assert.strictEqual(updated.goalRevision, 2)
      assert.isAbove(updated.position, position)

      const shown = yield* tell(`GET /api/v1/directives/${directiveId}?after=${updated.position}`)
      assert.include(shown, { title: "Greet", goal: "Say goodbye", status: "draft", baseBranch: "main" })
      assert.deepStrictEqual([shown.steps, shown.tasks], [[], []])

      const list = yield* tell(`GET /api/v1/directives?status=draft&after=${updated.position}`)
      assert.include(list.items.map((item: { id: string }) => item.id), directiveId)
    }))

  it.effect("starts, pauses, resumes and archives", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      for (const [verb, status] of [["start", "active"], ["pause", "paused"], ["resume", "active"]]) {
        assert.strictEqual((yield* tell(`POST /api/v1/directives/${id}/${verb}`)).status, status)
      }
      assert.strictEqual((yield* tell(`POST /api/v1/directives/${id}/archive`)).status, "archived")
      const refused = yield* ask(`POST /api/v1/directives/${id}/start`)
      assert.strictEqual(refused.status, 409)
      assert.strictEqual(refused.body.error.code, "DirectiveInState")
      assert.deepStrictEqual(refused.body.error.details, { status: "archived" })
    }))

  it.effect("adds one step or many and answers with their ids in order", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      const one = yield* tell(`POST /api/v1/directives/${id}/steps`, { body: { name: "First" } })
      assert.deepStrictEqual(one.steps.map((step: { name: string }) => step.name), ["First"])
      const many = yield* tell(`POST /api/v1/directives/${id}/steps`, {
        body: {
          steps: [{ key: "a", name: "Second", dependsOn: [one.steps[0].id] }, { name: "Third", dependsOn: ["a"] }]
        }
      })
      assert.deepStrictEqual(many.steps.map((step: { name: string }) => step.name), ["Second", "Third"])
      const shown = yield* tell(`GET /api/v1/directives/${id}?after=${many.position}`)
      assert.deepStrictEqual(
        shown.steps.map((step: { name: string; dependsOn: unknown }) => [step.name, step.dependsOn]),
        [["First", []], ["Second", [one.steps[0].id]], ["Third", [many.steps[0].id]]]
      )
      const skipped = yield* tell(`POST /api/v1/directives/${id}/steps/${one.steps[0].id}/skip`)
      assert.strictEqual(skipped.status, "draft")
      const refused = yield* ask(`POST /api/v1/directives/${id}/steps/${one.steps[0].id}/retry`)
      assert.deepStrictEqual([refused.status, refused.body.error.code], [409, "StepInState"])
      const why = yield* tell(`GET /api/v1/directives/${id}/why`)
      assert.strictEqual(why.steps.length, 2)
    }))

  it.effect("says which step and which field is wrong, and adds none", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      const refused = yield* ask(`POST /api/v1/directives/${id}/steps`, {
        body: { steps: [{ name: "Fine" }, { name: "Odd", dependsOn: ["nothing"] }] }
      })
      assert.strictEqual(refused.status, 422)
      assert.strictEqual(refused.body.error.code, "InvalidStep")
      assert.include(refused.body.error.details, { index: 1, field: "dependsOn[0]", name: "Odd" })
      const { status } = yield* ask(`POST /api/v1/directives/${id}/complete`)
      assert.strictEqual(status, 409)
      assert.deepStrictEqual((yield* tell(`GET /api/v1/directives/${id}`)).steps, [])
    }))

  it.effect("keeps memories", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      const key = encodeURIComponent("how/to test? é")
      const set = yield* tell(`PUT /api/v1/directives/${id}/memories/${key}`, {
        body: { value: "npm test", category: "tools" }
      })
      const memory = { key: "how/to test? é", value: "npm test", category: "tools" }
      assert.deepStrictEqual(yield* tell(`GET /api/v1/directives/${id}/memories?after=${set.position}`), {
        items: [memory]
      })
      assert.deepStrictEqual(yield* tell(`GET /api/v1/directives/${id}/memories/${key}`), memory)
      const removed = yield* tell(`DELETE /api/v1/directives/${id}/memories/${key}`)
      const gone = yield* ask(`GET /api/v1/directives/${id}/memories/${key}?after=${removed.position}`)
      assert.deepStrictEqual([gone.status, gone.body.error.code], [404, "MemoryNotFound"])
      const again = yield* ask(`DELETE /api/v1/directives/${id}/memories/${key}`)
      assert.deepStrictEqual([again.status, again.body.error.code], [404, "MemoryNotFound"])
    }))

  it.effect("shows tasks and daemons, and interrupts", () =>
    Effect.gen(function*() {
      const as = { as: "carol" } as const
      const daemon = yield* connectDaemon(carol, "laptop", 1)
      const id = yield* newDirective({ start: true }, as)
      const { taskId } = yield* daemon.nextTask
      const interrupted = yield* tell(`POST /api/v1/tasks/${taskId}/interrupt`, as)
      assert.strictEqual(interrupted.directiveId, id)
      const task = yield* tell(`GET /api/v1/tasks/${taskId}?after=${interrupted.position}`, as)
      assert.include(task, { id: taskId, directiveId: id, kind: "planning", status: "starting" })
      assert.include(task.plan, "Say hello")
      const { items } = yield* tell(`GET /api/v1/daemons?after=${interrupted.position}`, as)
      assert.include(items[0], { hostname: "laptop", status: "connected", activeTasks: 1 })
      assert.deepStrictEqual(yield* tell("GET /api/v1/daemons", { as: "bob" }), { items: [], parked: null })
      assert.strictEqual((yield* ask(`POST /api/v1/tasks/${nowhere}/interrupt`, as)).body.error.code, "TaskNotFound")
      assert.strictEqual((yield* ask(`POST /api/v1/tasks/${taskId}/interrupt`, { as: "bob" })).status, 404)
      yield* daemon.disconnect
    }))

  it.effect("shows nothing of another owner, not even that it is there", () =>
    Effect.gen(function*() {
      const id = yield* newDirective({ start: true })
      const { position, steps } = yield* tell(`POST /api/v1/directives/${id}/steps`, { body: { name: "Mine" } })
      const stepId = steps[0].id
      const shown = yield* tell(`GET /api/v1/directives/${id}?after=${position}`)
      const taskId = shown.tasks[0].id
      const about = (directiveId: string, taskId: string): ReadonlyArray<readonly [string, unknown?]> => [
        [`GET /api/v1/directives/${directiveId}`],
        [`PATCH /api/v1/directives/${directiveId}`, { title: "Mine now" }],
        ...["start", "pause", "resume", "archive", "complete"].map((verb) =>
          [`POST /api/v1/directives/${directiveId}/${verb}`] as const
        ),
        [`POST /api/v1/directives/${directiveId}/steps`, { name: "Yours" }],
        [`POST /api/v1/directives/${directiveId}/steps/${stepId}/retry`],
        [`POST /api/v1/directives/${directiveId}/steps/${stepId}/skip`],
        [`GET /api/v1/directives/${directiveId}/memories`],
        [`GET /api/v1/directives/${directiveId}/memories/k`],
        [`PUT /api/v1/directives/${directiveId}/memories/k`, { value: "v" }],
        [`DELETE /api/v1/directives/${directiveId}/memories/k`],
        [`GET /api/v1/directives/${directiveId}/events`],
        [`GET /api/v1/directives/${directiveId}/events?follow=true`],
        [`GET /api/v1/directives/${directiveId}/why`],
        [`GET /api/v1/tasks/${taskId}`],
        [`GET /api/v1/tasks/${taskId}/output`],
        [`POST /api/v1/tasks/${taskId}/interrupt`]
      ]
      const hidden = about(id, taskId)
      const absent = about(nowhere, nowhere)
      for (const [index, [route, body]] of hidden.entries()) {
        const ofAlice = yield* ask(route, { as: "bob", body })
        const ofNobody = yield* ask(absent[index]![0], { as: "bob", body })
        assert.strictEqual(ofAlice.status, 404, route)
        const message = JSON.stringify(ofAlice.body).replaceAll(id, nowhere).replaceAll(taskId, nowhere)
        assert.strictEqual(message, JSON.stringify(ofNobody.body), route)
      }
      const bobs = yield* tell(`GET /api/v1/directives?after=${position}`, { as: "bob" })
      assert.notInclude(JSON.stringify(bobs), id)
      assert.strictEqual((yield* tell(`GET /api/v1/directives/${id}`)).title, "Greet")
    }))

  it.effect("answers a repeated command as it answered the first time", () =>
    Effect.gen(function*() {
      const headers = { "idempotency-key": "create-1" }
      const id = yield* newDirective({}, { headers })
      assert.strictEqual(yield* newDirective({}, { headers }), id)
      const other = { title: "Something else", goal: "Say hello" }
      const refused = yield* ask("POST /api/v1/directives", { body: other, headers })
      assert.deepStrictEqual([refused.status, refused.body.error.code], [409, "KeyReused"])
      assert.notStrictEqual(yield* newDirective({}, { headers, as: "bob" }), id)
      const adding = { body: { name: "Once" }, headers: { "idempotency-key": "add-1" } }
      const first = yield* tell(`POST /api/v1/directives/${id}/steps`, adding)
      const second = yield* tell(`POST /api/v1/directives/${id}/steps`, adding)
      assert.deepStrictEqual(second.steps, first.steps)
      const shown = yield* tell(`GET /api/v1/directives/${id}?after=${second.position}`)
      assert.deepStrictEqual([shown.title, shown.steps.length], ["Greet", 1])
      const patch = { body: { goal: "More" }, headers: { "idempotency-key": "patch-1" } }
      assert.strictEqual((yield* tell(`PATCH /api/v1/directives/${id}`, patch)).goalRevision, 2)
      yield* tell(`PATCH /api/v1/directives/${id}`, { body: { goal: "Even more" } })
      assert.strictEqual((yield* tell(`PATCH /api/v1/directives/${id}`, patch)).goalRevision, 2)
      // What would be lost if it was taken for a repeat.
      const changed = yield* ask(`PATCH /api/v1/directives/${id}`, { ...patch, body: { goal: "Less" } })
      assert.deepStrictEqual([changed.status, changed.body.error.code], [409, "KeyReused"])
    }))

  it.effect("pages through a list with a cursor, each directive once", () =>
    Effect.gen(function*() {
      const ids: Array<string> = []
      for (let index = 0; index < 5; index++) {
        ids.unshift(yield* newDirective({ title: `Page ${index}` }, { as: "bob" }))
      }
      const { position } = yield* tell(`POST /api/v1/directives/${ids[0]}/start`, { as: "bob" })
      const seen: Array<string> = []
      let path = `GET /api/v1/directives?limit=2&after=${position}`
      while (true) {
        const page = yield* tell(path, { as: "bob" })
        assert.isAtMost(page.items.length, 2)
        seen.push(...page.items.map((item: { id: string }) => item.id))
        if (page.nextCursor === undefined) break
        path = `GET /api/v1/directives?limit=2&cursor=${encodeURIComponent(page.nextCursor)}`
      }
      assert.deepStrictEqual(seen.slice(0, 5), ids)
      assert.strictEqual(new Set(seen).size, seen.length)
      const wrong = yield* ask("GET /api/v1/directives?cursor=zzz")
      assert.deepStrictEqual([wrong.status, wrong.body.error.code], [400, "InvalidCursor"])
    }))

  it.effect("says that a position is not reached yet", () =>
    Effect.gen(function*() {
      const late = yield* ask("GET /api/v1/directives?after=99999999")
      assert.deepStrictEqual([late.status, late.body.error.code], [503, "PositionNotReached"])
    }), 15_000)

  it.effect("passes hostile titles on as they are", () =>
    Effect.gen(function*() {
      const title = "\"; rm -rf / #`$(id)`\n</script><b>'\\ \u{1f4a5} ${x}"
      const id = yield* newDirective({ title })
      const { position } = yield* tell(`POST /api/v1/directives/${id}/start`)
      assert.strictEqual((yield* tell(`GET /api/v1/directives/${id}?after=${position}`)).title, title)
    }))

  it.effect("names what is wrong with a request", () =>
    Effect.gen(function*() {
      const id = yield* newDirective()
      const wrong: ReadonlyArray<
        readonly [route: string, body: unknown, status: number, field: string | undefined, message: string]
      > = [
        ["POST /api/v1/directives", "{", 400, undefined, "The body is not JSON"],
        ["POST /api/v1/directives", "", 400, undefined, "The body: Expected object"],
        ["POST /api/v1/directives", [], 400, undefined, "The body: Expected object"],
        ["POST /api/v1/directives", { title: "No goal" }, 422, "goal", "goal: is missing"],
        ["POST /api/v1/directives", { title: " ", goal: "g" }, 422, "title", "title: is empty"],
        ["POST /api/v1/directives", { title: "a\0b", goal: "g" }, 422, "title", "title: has a NUL character"],
        ["POST /api/v1/directives", { title: "t", goal: 7 }, 422, "goal", "goal: Expected string"],
        [
          "POST /api/v1/directives",
          { title: "t", goal: "g", baseBranch: "--force" },
          422,
          "baseBranch",
          "baseBranch: is not a name that git takes for a branch"
        ],
        [
          "POST /api/v1/directives",
          { title: "t", goal: "g", repository: "r" },
          422,
          "repository",
          "repository: is not a field that is known here"
        ],
        [`PATCH /api/v1/directives/${id}`, { goul: "g" }, 422, "goul", "goul: is not a field that is known here"],
        [`POST /api/v1/directives/${id}/steps`, { name: 1 }, 422, "name", "name: Expected string"],
        [`POST /api/v1/directives/${id}/steps`, {}, 422, "name", "name: is missing"],
        [
          `POST /api/v1/directives/${id}/steps`,
          { name: "a", orderindex: 1 },
          422,
          "orderindex",
          "orderindex: is not a field that is known here"
        ],
        [
          `POST /api/v1/directives/${id}/steps`,
          { steps: [{ name: "a" }, { name: "b", orderIndex: "1" }] },
          422,
          "steps[1].orderIndex",
          "steps[1].orderIndex: Expected number"
        ],
        [`POST /api/v1/directives/${id}/steps`, { steps: 1 }, 422, "steps", "steps: Expected array"],
        [`PUT /api/v1/directives/${id}/memories/k`, {}, 422, "value", "value: is missing"]
      ]
      for (const [route, body, status, field, message] of wrong) {
        const answer = yield* ask(route, { body })
        assert.deepStrictEqual([answer.status, answer.body.error.message], [status, message])
        assert.strictEqual(answer.body.error.details?.field, field)
      }
      for (
        const [query, field] of [["limit=0", "limit"], ["limit=ten", "limit"], ["status=lost", "status"], [
          "after=-1",
          "after"
        ]]
      ) {
        const answer = yield* ask(`GET /api/v1/directives?${query}`)
        assert.deepStrictEqual([answer.status, answer.body.error.details.field], [400, field])
      }
      const key = yield* ask(`POST /api/v1/directives/${id}/start`, { headers: { "idempotency-key": "two words" } })
      assert.deepStrictEqual([key.status, key.body.error.details.field], [400, "idempotency-key"])
      const form = yield* ask("POST /api/v1/directives", {
        body: "title=t&goal=g",
        headers: { "content-type": "application/x-www-form-urlencoded" }
      })
      assert.deepStrictEqual([form.status, form.body.error.code], [400, "InvalidBody"])
    }))

  it.effect("answers where there is nothing, whatever the method", () =>
    Effect.gen(function*() {
      for (
        const route of [
          "GET /",
          "GET /api/v1/nothing?x=1",
          "DELETE /api/v1/directives",
          "POST /healthz",
          "PUT /api/v1/daemons",
          "GET /api/v1/directives/not-an-id",
          "POST /api/v1/tasks/..%2f..%2fetc/interrupt",
          "GET /%E0%A4%A"
        ]
      ) {
        const answer = yield* ask(route)
        assert.strictEqual(answer.status, 404, route)
        assert.hasAllKeys(answer.body.error, ["code", "message"])
      }
      const { error } = (yield* ask("DELETE /api/v1/directives")).body
      assert.deepStrictEqual(error, { code: "RouteNotFound", message: "There is no DELETE /api/v1/directives" })
    }))

  it.effect("takes no body over 1 MiB, announced or not", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ title: "Long", goal: "x".repeat(1024 * 1024) })
      const announced = yield* ask("POST /api/v1/directives", { body })
      assert.deepStrictEqual([announced.status, announced.body.error.code], [413, "BodyTooLarge"])
      const steps = Array.from(
        { length: 9 },
        (_, index) => ({ name: `Step ${index}`, description: "y".repeat(99_000) })
      )
      const id = yield* newDirective()
      assert.strictEqual((yield* ask(`POST /api/v1/directives/${id}/steps`, { body: { steps } })).status, 200)
    }))

  it.effect("lets nobody in without a key that it knows", () =>
    Effect.gen(function*() {
      for (
        const headers of [
          {},
          { authorization: "Bearer " },
          { authorization: "Bearer mk_guess" },
          { authorization: "Basic YTpi" }
        ]
      ) {
        const answer = yield* ask("POST /api/v1/directives", { as: "nobody", headers, body: "{" })
        assert.deepStrictEqual([answer.status, answer.body.error.code], [401, "Unauthorized"])
      }
    }))

  it.effect("tells whoever watches over it that it is well, and documents itself without the internet", () =>
    Effect.gen(function*() {
      const as = { as: "nobody" } as const
      assert.deepStrictEqual(yield* tell("GET /healthz", as), { status: "ok" })
      assert.include(yield* tell("GET /readyz", as), { status: "ready" })
      const openApi = yield* tell("GET /openapi.json", as)
      assert.includeMembers(Object.keys(openApi.paths), [
        "/api/v1/directives",
        "/api/v1/directives/{id}/steps",
        "/healthz"
      ])
      assert.includeMembers(Object.keys(openApi.paths["/api/v1/directives"].post.responses), [
        "201",
        "401",
        "409",
        "422"
      ])
      const docs = yield* tell("GET /docs", as)
      assert.include(docs, "openapi")
      assert.notMatch(docs, /<script[^>]+src=/)
    }))
})
