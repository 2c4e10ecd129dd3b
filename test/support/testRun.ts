/** What a test run does before its first test: says when it has its PostgreSQL, and waits. */
import setup from "./postgresServer.ts"

await setup({ provide: () => {} })
process.stdout.write("ready\n")
process.stdin.resume()
