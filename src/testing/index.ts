/** `makima-runtime/testing`: what whoever implements an event log needs, and the contract to hold it to. */
export * as Chain from "../events/Chain.ts"
export * from "../events/EventLog.ts"
export { type LoggedEvent, Unreadable, UnreadableEvent } from "../events/Unreadable.ts"
export * as EventLogContract from "./EventLogContract.ts"
