"""What the modules of the command have in common."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

Values = Annotated[
    list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="A value; lists as 0,10,100. May be repeated.")
]

Engine = Annotated[str, typer.Option(help="Where runs are done: local, dask or slurm.")]
Address = Annotated[str, typer.Option(metavar="tcp://HOST:PORT", help="Of Dask's scheduler.")]
Gpus = Annotated[int, typer.Option("--gpus-per-run", help="GPUs that a run takes from its worker's.", min=0)]

Sbatch = Annotated[str, typer.Option(metavar="OPTIONS", help="What Slurm's sbatch is to be told, as one text.")]


def complain(message: str) -> None:
    """Say what is wrong, on the stream for errors."""
    Console(stderr=True).print(Text(message), soft_wrap=True)
