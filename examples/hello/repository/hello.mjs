/** Greets whoever is named: `node hello.mjs Ada`. */
import { argv, stdout } from "node:process"

const [name = "world"] = argv.slice(2)
stdout.write(`Hello, ${name}!\n`)
