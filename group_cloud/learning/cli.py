"""`andon learn`: the learning loop on recorded plants.

Called by the command line; the protocol lives in `backtest/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.errors import AndonError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="学习 / learning")


@app.callback()
def root() -> None:
    """学习 / learning."""


@app.command()
def backtest(
    data: Annotated[Path, typer.Argument(help="文件夹或表 / folder of plants, or one table")],
    score: Annotated[str, typer.Option(help="后加入的工厂 / late joiners, comma separated")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON")] = False,
    only: Annotated[str, typer.Option(help="只做这些部分 / only these sections")] = "",
    unrecorded: Annotated[float, typer.Option(min=0, max=1, help="未记录 / never recorded")] = 0.1,
    phantom: Annotated[float, typer.Option(min=0, max=1, help="虚假记录 / never were")] = 0.1,
    late_days: Annotated[str, typer.Option(help="迟记天数 / days late, from:to")] = "1:3",
    seed: Annotated[int, typer.Option(min=0, help="随机种子 / seed of the record of faults")] = 1,
) -> None:
    """回测学习 / what learning would have done on recorded plants, week by week."""
    # Here, not above: numpy and River are slow to import, and `andon --help` needs neither.
    from group_cloud.learning.backtest.command import Asked, answer, print_answer, show
    from group_cloud.learning.backtest.fault_log import LogQuality

    try:
        low, _, high = late_days.partition(":")
        late = (float(low), float(high or low))
    except ValueError:
        raise typer.BadParameter("--late-days: 1:3, or 7") from None
    quality = LogQuality(unrecorded, phantom, late, seed)
    asked = Asked(data, _names(score), quality, _names(only))
    try:
        found, chosen = answer(asked)
    except AndonError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        print_answer(found)
    else:
        show(found, chosen)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
