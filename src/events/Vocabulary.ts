/** Every type of event that is ever stored, in every version. Their names are unique over all kinds of streams. */
import { DaemonEvent, daemonEventChanged } from "./DaemonEvent.ts"
import { DirectiveEvent, directiveEventChanged } from "./DirectiveEvent.ts"
import * as Evolution from "./Evolution.ts"
import { SupervisorEvent, supervisorEventChanged } from "./SupervisorEvent.ts"

/** The types as they are today, by name. */
export const cases = { ...DirectiveEvent.cases, ...DaemonEvent.cases, ...SupervisorEvent.cases }

export const { read, shapes, versionOf } = Evolution.make(cases, {
  ...directiveEventChanged,
  ...daemonEventChanged,
  ...supervisorEventChanged
})
