/** The frame that hands a task over (spec section 9). What this runtime has no use for is null, false or 0. */
import type { Task } from "../actors/DirectiveState.ts"
import type { DirectiveId } from "../events/Ids.ts"
import type { SpawnTask } from "./Protocol.ts"

/** The values of the contract that this runtime never sets. */
export const unset = {
  targetBranch: null,
  parentTaskId: null,
  depth: 0,
  isOrchestrator: false,
  targetRepoPath: null,
  copyFiles: null,
  contractId: null,
  isSupervisor: false,
  autonomousLoop: false,
  resumeSession: false,
  conversationHistory: null,
  patchData: null,
  patchBaseSha: null,
  localOnly: false,
  autoMergeLocal: false,
  supervisorWorktreeTaskId: null
} satisfies Partial<SpawnTask>

export const spawnTask = (directiveId: DirectiveId, task: Task, handOver: number): SpawnTask => ({
  ...unset,
  type: "spawnTask",
  taskId: task.id,
  taskName: task.name,
  plan: task.plan,
  repoUrl: task.repositoryUrl ?? null,
  baseBranch: task.baseBranch ?? null,
  completionAction: task.completionAction ?? null,
  continueFromTaskId: task.continueFromTaskId ?? null,
  directiveId,
  handOver
})
