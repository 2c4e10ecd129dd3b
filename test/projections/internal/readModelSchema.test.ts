import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { currentVersion, indexStatements, tableStatements } from "../../../src/projections/internal/readModelSchema.ts"

/** Add lines, never edit one that was released: tables that exist somewhere are not made again without a new version. */
const digests: Readonly<Record<number, string>> = {
  1: "eea6968f36ecad6c"
}

describe("The tables of the read models", () => {
  it("change only together with their version, which has them made anew", () => {
    const statements = [...tableStatements("read_0_"), ...indexStatements("read_0_")]
    const digest = createHash("sha256").update(statements.join(";")).digest("hex").slice(0, 16)
    assert.strictEqual(digest, digests[currentVersion], "Raise currentVersion and add a line here")
  })
})
