"""What the modules of the command have in common."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

Values = Annotated[
    list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A value; lists as 0,10,100. May be repeated.")
]


def complain(message: str) -> None:
    """Say what is wrong, on the stream for errors."""
    Console(stderr=True).print(Text(message), soft_wrap=True)
