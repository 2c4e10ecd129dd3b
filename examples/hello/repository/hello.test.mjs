import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { execPath } from "node:process"
import { test } from "node:test"

const hello = (...args) => execFileSync(execPath, ["hello.mjs", ...args], { encoding: "utf8" })

test("greets the world", () => assert.equal(hello(), "Hello, world!\n"))

test("greets whoever is named", () => assert.equal(hello("Ada"), "Hello, Ada!\n"))
