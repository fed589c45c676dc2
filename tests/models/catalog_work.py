"""What writers do with a workspace in the model: each method is one call of the API."""

from __future__ import annotations

from tests.models.catalog_disk import Attempt, Op, Owner, Process, Steps, owner_in
from tests.models.catalog_protocol import Flaw, Protocol

EXPERIMENTS = ("e0", "e1")
RUNS = ("e0/r0", "e0/r1", "e1/r0")


class Work(Protocol):
    """The operations of writers, each hinted as the protocol wants it."""

    def live(self, p: Process, address: str) -> bool:
        """Whether a scope lies there now."""
        return f"{p.root}/live/{address}/meta" in self.disk.files

    def numbers(self, p: Process, run: str) -> list[str]:
        """The numbers of a run's executions."""
        found = (
            path.split("/")[4]
            for path in self.disk.below(f"{p.root}/live/{run}")
            if path.count("/") == 5
        )
        return sorted(set(found))

    def newest_attempt(self, p: Process, run: str) -> tuple[str, Owner | None, bool]:
        """The number, owner and openness of a run's newest execution."""
        numbers = self.numbers(p, run)
        if not numbers:
            return "0000", None, False
        base = f"{p.root}/live/{run}/{numbers[-1]}"
        ledger = self.disk.files.get(f"{base}/ledger")
        return (
            numbers[-1],
            owner_in(ledger.text) if ledger else None,
            f"{base}/end" not in self.disk.files,
        )

    def start(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Start a run, unless somebody may still be at it."""
        run = RUNS[a % len(RUNS)]
        number, _, open_ = self.newest_attempt(p, run)
        yield
        if open_ or not self.live(p, run):
            return False
        fact, number = self.fact(op), f"{int(number) + 1:04}"
        path, made = f"{p.root}/live/{run}/{number}/ledger", []

        def act() -> bool:
            made.append(
                self.disk.create(path, f"{p.owner}\n{fact}\n") if self.live(p, run) else None
            )
            return made[0] is not None

        op.kept = self.flaw is Flaw.EXECUTION_WATCHED_BY_HINT
        done = yield from self.change(p, op, [run], act)
        if done and op.journal and (file := made[0]):
            p.attempts.append(Attempt(file, run, number, False, file.mtime, op.journal.number))
        return done

    def join(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Join the execution of another process with a ledger of one's own."""
        run = RUNS[a % len(RUNS)]
        number, _, open_ = self.newest_attempt(p, run)
        yield
        path, fact, made = f"{p.root}/live/{run}/{number}/ledger-{p.owner.born}", self.fact(op), []
        if not open_ or path in self.disk.files:
            return False

        def act() -> bool:
            made.append(
                self.disk.create(path, f"{p.owner}\n{fact}\n") if self.numbers(p, run) else None
            )
            return made[0] is not None

        done = yield from self.change(p, op, [run], act)
        if done and op.journal and (file := made[0]):
            p.attempts.append(Attempt(file, run, number, True, file.mtime))
        return done

    def where(self, attempt: Attempt) -> str | None:
        """The directory in which an open ledger lies now, as its descriptor knows."""
        return next(
            (
                path.rsplit("/", 1)[0]
                for path, file in self.disk.files.items()
                if file is attempt.file
            ),
            None,
        )

    def prefix(self, p: Process, attempt: Attempt) -> str:
        """What to hint for an execution: its run, or everything if it lies elsewhere."""
        return (
            attempt.scope
            if self.where(attempt) == f"{p.root}/live/{attempt.scope}/{attempt.number}"
            else "**"
        )

    def line(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Append a fact to an open ledger; hint only after a long silence, or if an end came."""
        if not p.attempts:
            return False
        attempt = p.attempts[a % len(p.attempts)]
        place = self.where(attempt)
        if place is None or f"{place}/end" in self.disk.files:
            p.attempts.remove(attempt)
            return False
        yield
        began = self.disk.now
        yield from self.append(op, attempt.file, f"{self.fact(op)}\n")
        place = self.where(attempt)
        yield
        if self.late(attempt.last) or (place and f"{place}/end" in self.disk.files):
            began = self.disk.now
            if self.flaw is not Flaw.HINT_WITHOUT_BEAT:
                attempt.file.mtime = attempt.file.ctime = began
            yield
            yield from self.change(p, op, [self.prefix(p, attempt)], lambda: True)
            began = self.disk.now if self.flaw is Flaw.HINT_WITHOUT_BEAT else began
        for each in p.attempts if self.flaw is Flaw.SILENCE_PER_PROCESS else [attempt]:
            each.last = began
        return place is not None

    def beat(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """One heartbeat: the ledgers' times move, and a beat after a long silence hints."""
        beaten, now = list(p.attempts), self.disk.now
        for attempt in beaten:
            attempt.file.mtime = attempt.file.ctime = now
        yield
        if late := [attempt for attempt in beaten if self.late(attempt.last)]:
            yield from self.change(
                p, op, {self.prefix(p, attempt) for attempt in late}, lambda: True
            )
        for attempt in beaten:
            attempt.last = now
        return True

    def end(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """End an execution that this process owns, and hint as after a line."""
        owned = [attempt for attempt in p.attempts if not attempt.joined]
        if not owned:
            return False
        attempt = owned[a % len(owned)]
        fact = self.fact(op)

        def act() -> bool:
            place = self.where(attempt)
            return place is not None and self.disk.create(f"{place}/end", f"{fact}\n") is not None

        yield
        done = act()
        yield
        if self.late(attempt.last) or self.where(attempt) is None:
            op.prefixes = (self.prefix(p, attempt),)
            op.still = lambda: self.prefix(p, attempt) != "**"
            yield from self.change(p, op, op.prefixes, lambda: True)
        if attempt in p.attempts:
            p.attempts.remove(attempt)
        if self.flaw is Flaw.EXECUTION_WATCHED_BY_HINT and p.journal:
            yield from self.append(op, p.journal.file, f"done {attempt.hint}\n", p.journal)
        return done

    def reap(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """End the execution of a process that is proven dead."""
        run = RUNS[a % len(RUNS)]
        number, owner, open_ = self.newest_attempt(p, run)
        yield
        if not open_ or not self.dead(p, owner):
            return False
        fact, path = self.fact(op), f"{p.root}/live/{run}/{number}/end"
        return (
            yield from self.change(
                p,
                op,
                [run],
                lambda: bool(self.numbers(p, run) and self.disk.create(path, f"{fact}\n")),
            )
        )

    def edit(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Append an edit to a scope's file for this host, which other processes share."""
        scope = (EXPERIMENTS + RUNS)[a % 5]
        path, op.prefixes = f"{p.root}/live/{scope}/edits-{p.owner.host}", (scope,)
        if not self.live(p, scope):
            return False
        hint = yield from self.touch(p, op)
        file = self.disk.files.get(path) or (
            self.disk.create(path) if self.live(p, scope) else None
        )
        yield
        if file:
            start = "" if self.flaw is Flaw.LINE_WITHOUT_NEWLINE_BEFORE else "\n"
            op.still = lambda: self.disk.files.get(path) is file
            yield from self.append(op, file, f"{start}{self.fact(op)}\n")
        yield from self.settle(p, op, hint)
        held = any(other is file for other in self.disk.files.values())
        return file is not None and held

    def create(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Create a run, or import an experiment whole."""
        fact = self.fact(op)
        if a % 2:
            scope = EXPERIMENTS[b % 2]
            aside = f"{p.root}/.molexp/tmp/{next(self.serial)}"
            self.disk.create(f"{aside}/meta", f"{fact}\n")
            self.disk.create(f"{aside}/r0/meta", f"{self.fact(op)}\n")
            yield
            return (
                yield from self.change(
                    p,
                    op,
                    [f"{scope}/**"],
                    lambda: self.disk.rename(aside, f"{p.root}/live/{scope}"),
                )
            )
        run = RUNS[b % 3]
        return (
            yield from self.change(
                p,
                op,
                [run],
                lambda: (
                    self.live(p, run[:2])
                    and bool(self.disk.create(f"{p.root}/live/{run}/meta", f"{fact}\n"))
                ),
            )
        )

    def move(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Move a run that nobody works at to another address."""
        source, target = RUNS[a % 3], RUNS[(a + 1 + b % 2) % 3]
        _, owner, open_ = self.newest_attempt(p, source)
        yield
        if open_ and not self.dead(p, owner):
            return False
        return (
            yield from self.change(
                p,
                op,
                [f"{source}/**", f"{target}/**"],
                lambda: (
                    self.live(p, target[:2])
                    and (self.disk.rename(f"{p.root}/live/{source}", f"{p.root}/live/{target}"))
                ),
            )
        )

    def trash(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Put a scope into the trash."""
        scope = (EXPERIMENTS + RUNS)[a % 5]
        target = f"{p.root}/trash/{next(self.serial)}/{scope}"
        return (
            yield from self.change(
                p, op, [f"{scope}/**"], lambda: self.disk.rename(f"{p.root}/live/{scope}", target)
            )
        )

    def restore(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Put something back out of the trash."""
        found = sorted(
            {"/".join(path.split("/")[:3]) for path in self.disk.below(f"{p.root}/trash")}
        )
        if not found:
            return False
        place = found[a % len(found)]
        tops = sorted(
            path.removeprefix(f"{place}/")
            for path in self.disk.below(place)
            if path.endswith("/meta")
        )
        scope = min(tops, key=len).removesuffix("/meta")
        return (
            yield from self.change(
                p,
                op,
                [f"{scope}/**"],
                lambda: (
                    ("/" not in scope or self.live(p, scope[:2]))
                    and (self.disk.rename(f"{place}/{scope}", f"{p.root}/live/{scope}"))
                ),
            )
        )

    def shut(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Close the journal."""
        yield from self.close(p, op)
