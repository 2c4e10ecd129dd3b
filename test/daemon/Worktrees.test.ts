import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as BranchName from "../../src/daemon/BranchName.ts"
import { type Request, Worktrees } from "../../src/daemon/Worktrees.ts"
import { makeRepository, sh, taskId, temporaryDirectory } from "./localSupport.ts"

const request = (n: number, fields: Partial<Request>): Request => ({
  taskId: taskId(n),
  taskName: `Step ${n}`,
  repoUrl: null,
  baseBranch: "main",
  continueFromTaskId: null,
  completionAction: "branch",
  ...fields
})

const branchOf = (n: number): string => BranchName.ofTask(`Step ${n}`, taskId(n))

/** A machine of its own: what it does is in a scope that it can close. */
const makeMachine = Effect.fnUntraced(function*(workDir: string) {
  const { acquire } = yield* Effect.map(
    Layer.build(Layer.fresh(Worktrees.layer(workDir))),
    (context) => context.mapUnsafe.get(Worktrees.key) as Worktrees["Service"]
  )
  /** Works on a task to its end, with a shell script in the place of the agent. */
  const perform = (task: Request, script: string) =>
    Effect.gen(function*() {
      const worktree = yield* acquire(task)
      yield* sh(worktree.path, script)
      yield* worktree.finish
    }).pipe(Effect.scoped)
  return { acquire, perform, workDir }
})

/** A user's repository and a machine that works on it. */
const setUp = Effect.gen(function*() {
  const directory = yield* temporaryDirectory
  const repository = yield* makeRepository(directory, "repository")
  const machine = yield* makeMachine(join(directory, "work"))
  return { directory, repository, ...machine }
})

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.message)

const live = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope | NodeServices.NodeServices>) =>
  it.live(name, () => test().pipe(Effect.provide(NodeServices.layer)))

describe("Worktrees", () => {
  live("start from the base branch, on the task's branch", () =>
    Effect.gen(function*() {
      const { acquire, repository } = yield* setUp
      yield* sh(repository, "git checkout -qb other; echo two >b; git add b; git commit -qm two; git checkout -q main")
      const { path } = yield* acquire(request(1, { repoUrl: repository, baseBranch: "other" }))
      assert.strictEqual(yield* sh(path, "git branch --show-current; cat a b"), `${branchOf(1)}\none\ntwo`)
      assert.strictEqual(yield* sh(path, "git rev-parse HEAD"), yield* sh(repository, "git rev-parse other"))
      assert.strictEqual(
        yield* sh(path, "git rev-parse --abbrev-ref @{upstream} 2>&1 || true").pipe(
          Effect.map((line) => line.includes("no upstream"))
        ),
        true
      )
    }))

  live("push everything that was done, committed or not, and are removed", () =>
    Effect.gen(function*() {
      const { perform, repository, workDir } = yield* setUp
      const script = "echo new >b; git add b; git commit -qm b; echo changed >a; mkdir c; echo deep >c/d"
      yield* perform(request(1, { repoUrl: repository, taskName: "Step 1" }), script)
      assert.strictEqual(
        yield* sh(repository, `git show ${branchOf(1)}:a ${branchOf(1)}:b ${branchOf(1)}:c/d`),
        "changed\nnew\ndeep"
      )
      assert.strictEqual(yield* sh(repository, `git log -1 --format=%s ${branchOf(1)}`), "Step 1")
      assert.strictEqual(yield* sh(workDir, "ls worktrees"), "")
    }))

  live("push the base where nothing was done", () =>
    Effect.gen(function*() {
      const { perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "true")
      assert.strictEqual(
        yield* sh(repository, `git rev-parse ${branchOf(1)}`),
        yield* sh(repository, "git rev-parse main")
      )
    }))

  live("commit as makima where git knows nobody", () =>
    Effect.gen(function*() {
      const { perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "echo >new")
      const author = yield* sh(repository, `git log -1 --format='%an <%ae>' ${branchOf(1)}`)
      assert.strictEqual(author, "makima <makima@localhost>")
    }))

  live("leave the user's repository and its worktrees as they were", () =>
    Effect.gen(function*() {
      const { perform, repository } = yield* setUp
      const look = "git worktree list; git status --porcelain; git rev-parse HEAD; git config --list --local; cat a"
      yield* sh(repository, "echo uncommitted >a")
      const before = yield* sh(repository, look)
      yield* perform(request(1, { repoUrl: repository }), "echo agent >a")
      assert.strictEqual(yield* sh(repository, look), before)
      assert.strictEqual(yield* sh(repository, `git show ${branchOf(1)}:a`), "agent")
    }))

  live("continue from a finished task", () =>
    Effect.gen(function*() {
      const { acquire, perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "echo first >b")
      yield* sh(repository, `git branch -D ${branchOf(1)}`)
      const { path } = yield* acquire(request(2, { repoUrl: repository, continueFromTaskId: taskId(1) }))
      assert.strictEqual(
        yield* sh(path, "git branch --show-current; cat b; git status --porcelain"),
        `${branchOf(2)}\nfirst`
      )
    }))

  live(
    "continue from a task that still works, its uncommitted changes included and left uncommitted",
    () =>
      Effect.gen(function*() {
        const { acquire, repository } = yield* setUp
        const first = yield* acquire(request(1, { repoUrl: repository }))
        yield* sh(first.path, "echo done >b; git add b; git commit -qm b; echo changed >a; echo new >c; git add c")
        const before = yield* sh(first.path, "git status --porcelain; git log --oneline")
        const { path } = yield* acquire(request(2, { repoUrl: repository, continueFromTaskId: taskId(1) }))
        assert.strictEqual(yield* sh(path, "cat a b c; git status --porcelain"), "changed\ndone\nnew\n M a\n?? c")
        assert.strictEqual(yield* sh(path, "git rev-parse HEAD"), yield* sh(first.path, "git rev-parse HEAD"))
        assert.strictEqual(yield* sh(first.path, "git status --porcelain; git log --oneline"), before)
      })
  )

  live("continue from what another machine has pushed", () =>
    Effect.gen(function*() {
      const { directory, perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "echo there >b")
      const other = yield* makeMachine(join(directory, "other"))
      const { path } = yield* other.acquire(request(2, { repoUrl: repository, continueFromTaskId: taskId(1) }))
      assert.strictEqual(yield* sh(path, "cat b"), "there")
    }))

  live("say when there is nothing to continue from", () =>
    Effect.gen(function*() {
      const { acquire, repository, workDir } = yield* setUp
      const task = request(2, { repoUrl: repository, continueFromTaskId: taskId(1) })
      assert.strictEqual(
        yield* messageOf(Effect.scoped(acquire(task))),
        `The work of task ${taskId(1)}, which this task continues, is neither here nor in ${repository}`
      )
      assert.strictEqual(yield* sh(workDir, "ls worktrees"), "")
    }))

  live("push what HEAD is at the end, whichever branch the agent went to", () =>
    Effect.gen(function*() {
      const { perform, repository } = yield* setUp
      yield* perform(
        request(1, { repoUrl: repository }),
        "git checkout -qb own; echo own >b; git add b; git commit -qm b"
      )
      yield* perform(request(2, { repoUrl: repository }), "git checkout -q --detach; echo loose >b")
      assert.strictEqual(yield* sh(repository, `git show ${branchOf(1)}:b ${branchOf(2)}:b`), "own\nloose")
      assert.strictEqual(yield* sh(repository, "git branch --list own"), "")
    }))

  live("let agents fetch, merge, check out and push with origin", () =>
    Effect.gen(function*() {
      const { acquire, perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "echo 1 >one")
      yield* perform(request(2, { repoUrl: repository }), "echo 2 >two")
      const { path } = yield* acquire(request(3, { repoUrl: repository, completionAction: null }))
      assert.strictEqual(yield* sh(path, "git branch --show-current"), "")
      yield* sh(
        path,
        `git fetch -q origin
         git checkout -qB all origin/main
         git merge -q --no-edit origin/${branchOf(1)}
         git merge -q --no-edit origin/${branchOf(2)}
         git push -q -u origin all`
      )
      assert.strictEqual(yield* sh(repository, "git show all:one all:two"), "1\n2")
    }))

  live("show no branch of an earlier agent to a later one", () =>
    Effect.gen(function*() {
      const { acquire, perform, repository } = yield* setUp
      yield* perform(request(1, { repoUrl: repository }), "git checkout -q main")
      yield* sh(repository, "echo newer >a; git commit -qam newer")
      const { path } = yield* acquire(request(2, { repoUrl: repository }))
      assert.strictEqual(yield* sh(path, "git checkout -q main; cat a"), "newer")
    }))

  live("take the base from a local path and everything else from its origin", () =>
    Effect.gen(function*() {
      const { directory, perform, repository } = yield* setUp
      yield* sh(directory, "git clone -q --bare repository origin.git")
      yield* sh(repository, "git remote add origin ../origin.git; echo local >a; git commit -qam local")
      yield* perform(request(1, { repoUrl: repository }), "cat a >b; git show origin/main:a >c")
      const origin = join(directory, "origin.git")
      assert.strictEqual(yield* sh(origin, `git show ${branchOf(1)}:b ${branchOf(1)}:c`), "local\none")
      assert.strictEqual(yield* sh(repository, "git branch --list 'makima/*'"), "")
    }))

  live("fail when the base branch is missing", () =>
    Effect.gen(function*() {
      const { acquire, repository } = yield* setUp
      for (const baseBranch of ["missing", "--upload-pack=touch x", "a:b", "*"]) {
        assert.strictEqual(
          yield* messageOf(Effect.scoped(acquire(request(1, { repoUrl: repository, baseBranch })))),
          `The repository ${repository} has no branch ${JSON.stringify(baseBranch)} to start from`
        )
      }
    }))

  live("fail when the repository is empty", () =>
    Effect.gen(function*() {
      const { acquire, directory } = yield* setUp
      yield* sh(directory, "git init -q empty")
      const repoUrl = join(directory, "empty")
      assert.strictEqual(
        yield* messageOf(Effect.scoped(acquire(request(1, { repoUrl })))),
        `The repository ${repoUrl} is empty: it needs a first commit to start from`
      )
    }))

  live("fail when there is no repository", () =>
    Effect.gen(function*() {
      const { acquire, directory } = yield* setUp
      const gone = join(directory, "gone")
      assert.strictEqual(
        yield* messageOf(Effect.scoped(acquire(request(1, { repoUrl: gone })))),
        `The repository ${gone} cannot be read: there is no such directory`
      )
      assert.match(
        yield* messageOf(Effect.scoped(acquire(request(1, { repoUrl: directory })))),
        /cannot be read: not a git repository/
      )
      assert.match(
        yield* messageOf(Effect.scoped(acquire(request(1, { repoUrl: "http://user:secret@127.0.0.1:1/gone.git" })))),
        /^The repository http:\/\/127.0.0.1:1\/gone.git cannot be read: unable to access /
      )
    }))

  live("fail on a merge that the agent left unfinished", () =>
    Effect.gen(function*() {
      const { perform, repository } = yield* setUp
      yield* sh(repository, "git checkout -qb other; echo other >a; git commit -qam other; git checkout -q main")
      const merge = "echo mine >a; git commit -qam mine; git merge -q origin/other || true"
      assert.strictEqual(
        yield* messageOf(perform(request(1, { repoUrl: repository }), merge)),
        "The agent left a merge unfinished, with conflicts in a"
      )
      assert.strictEqual(
        yield* messageOf(perform(request(1, { repoUrl: repository }), `${merge}; git add a`)),
        "The agent left a merge unfinished, with conflicts in a"
      )
      yield* perform(request(1, { repoUrl: repository }), `${merge}; echo both >a; git add a`)
      assert.strictEqual(yield* sh(repository, `git show ${branchOf(1)}:a`), "both")
      assert.strictEqual(
        yield* sh(repository, `git rev-parse ${branchOf(1)}^2`),
        yield* sh(repository, "git rev-parse other")
      )
    }))

  live("fail when the branch cannot be pushed, with what origin said", () =>
    Effect.gen(function*() {
      const { perform, repository, workDir } = yield* setUp
      const hook = join(repository, ".git/hooks/pre-receive")
      writeFileSync(hook, "#!/bin/sh\nexit 1\n", { mode: 0o755 })
      const message = yield* messageOf(perform(request(1, { repoUrl: repository }), "echo >b"))
      assert.match(message, new RegExp(`^The branch ${branchOf(1)} cannot be pushed to .*pre-receive hook declined`))
      assert.strictEqual(yield* sh(workDir, "ls worktrees"), "")
    }))

  live("run no hooks and take a name with a newline for what it is", () =>
    Effect.gen(function*() {
      const { perform, repository, workDir } = yield* setUp
      const task = request(1, { repoUrl: repository, taskName: "# `touch x`\n\u0007 $(false)" })
      const hook =
        "d=$(git rev-parse --git-common-dir)/hooks; mkdir -p $d; printf '#!/bin/sh\\nexit 1\\n' >$d/pre-commit"
      yield* perform(task, `${hook}; chmod +x $d/pre-commit; echo >b`)
      const branch = BranchName.ofTask(task.taskName, task.taskId)
      assert.strictEqual(yield* sh(repository, `git log -1 --format=%B ${branch}`), "# `touch x` $(false)\n")
      assert.isTrue(existsSync(workDir))
    }))

  live("are made anew for a task that is handed over again", () =>
    Effect.gen(function*() {
      const { acquire, perform, repository, workDir } = yield* setUp
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(acquire(request(1, { repoUrl: repository })), scope)
      yield* sh(first.path, "echo half >b; chmod a-w .")
      yield* Scope.close(scope, Exit.void)
      // As after a daemon that was killed: the directory is there and nobody works in it.
      yield* sh(workDir, `mkdir -p worktrees/${taskId(1)}; echo rest >worktrees/${taskId(1)}/rest`)
      yield* perform(request(1, { repoUrl: repository }), "test ! -e b; test ! -e rest; echo whole >c")
      assert.strictEqual(yield* sh(repository, `git show ${branchOf(1)}:c`), "whole")
      yield* perform(request(1, { repoUrl: repository }), "test ! -e c; echo again >c")
      assert.strictEqual(yield* sh(repository, `git show ${branchOf(1)}:c`), "again")
    }))

  live("are removed when the daemon that made them is gone, and only then", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* sh(directory, `mkdir -p work/worktrees/a; echo ${process.ppid} >work/worktrees/.owner`)
      yield* makeMachine(join(directory, "work"))
      assert.strictEqual(yield* sh(directory, "ls work/worktrees"), "a")
      yield* sh(directory, "sh -c 'echo $$' >work/worktrees/.owner")
      yield* makeMachine(join(directory, "work"))
      assert.strictEqual(yield* sh(directory, "ls work/worktrees"), "")
    }))

  live("of one repository can be made and finished at the same time", () =>
    Effect.gen(function*() {
      const { perform, repository, workDir } = yield* setUp
      const numbers = Array.from({ length: 12 }, (_, index) => index + 1)
      yield* Effect.forEach(
        numbers,
        (n) => perform(request(n, { repoUrl: repository }), `git fetch -q origin || true; echo ${n} >n`),
        { concurrency: "unbounded", discard: true }
      )
      for (const n of numbers) assert.strictEqual(yield* sh(repository, `git show ${branchOf(n)}:n`), String(n))
      assert.strictEqual(yield* sh(workDir, "ls worktrees; ls -d repositories/*/worktrees 2>/dev/null || true"), "")
    }))

  live("without a repository are empty directories, in which git finds none", () =>
    Effect.gen(function*() {
      const { acquire, repository } = yield* setUp
      const { perform } = yield* makeMachine(join(repository, ".makima"))
      yield* perform(request(1, { completionAction: null }), "test -z \"$(ls -A)\"; echo >a")
      const { path } = yield* acquire(request(2, {}))
      assert.isTrue(existsSync(path))
    }))

  live("never touch a repository further up when an agent removes its own", () =>
    Effect.gen(function*() {
      const { repository } = yield* setUp
      const { perform } = yield* makeMachine(join(repository, ".makima"))
      const message = yield* messageOf(perform(request(1, { repoUrl: repository }), "rm .git; echo stray >a"))
      assert.match(message, /^The worktree of task .* failed: not a git repository/)
      assert.strictEqual(yield* sh(repository, "git log --format=%s"), "one")
      assert.strictEqual(readFileSync(join(repository, "a"), "utf8"), "one\n")
    }))
})
