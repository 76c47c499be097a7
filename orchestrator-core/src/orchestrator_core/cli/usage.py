"""Commands whose errors of usage do not repeat what was typed in a wrong place: it may be a key."""

from __future__ import annotations

import click


class Command(click.Command):
    """A command that refuses arguments which it does not take without repeating them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options and arguments.

        Raises:
            click.UsageError: There are more arguments than the command takes, or they cannot be parsed.
        """
        ctx.allow_extra_args = True  # click's own refusal repeats them
        extra = super().parse_args(ctx, args)
        if extra and not ctx.resilient_parsing:
            ctx.fail(f"{ctx.command_path} takes no more arguments; got {len(extra)} too many.")
        return extra


class Group(click.Group):
    """A group that refuses the name of a command that it has not without repeating it."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for.

        Raises:
            click.UsageError: There is none; the message names the nearest.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from orchestrator_core.config.messages import nearest  # pydantic, which a right command may not need

            if self.get_command(ctx, args[0]) is not None:
                raise
            raise click.UsageError(f"No such command.{nearest(args[0], self.list_commands(ctx))}", error.ctx) from None
