"""This file says what is going on while servers are fetched and started: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Narrator:
    """Lines through a callable or a rich console, or nothing; safe to call from several threads."""

    def __init__(self, to: "Callable[[str], None] | Console | Narrator | None" = None) -> None:
        inner = to.to if isinstance(to, Narrator) else to
        self.to: Callable[[str], None] | Console | None = inner

    def say(self, line: str) -> None:
        match self.to:
            case None:
                return
            case Console() as console:
                console.print(line, highlight=False, markup=False, soft_wrap=True)
            case write:
                write(line)

    @contextmanager
    def steps(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """A context in which each call of the yielded function is one step of `total`; without a terminal, one line."""
        if isinstance(self.to, Console) and self.to.is_terminal:
            with Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=self.to
            ) as bar:
                task = bar.add_task(what, total=total)
                yield lambda: bar.advance(task)
        else:
            self.say(f"{what} …")
            yield lambda: None
