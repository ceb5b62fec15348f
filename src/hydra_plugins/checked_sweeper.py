"""Hydra's grid sweep, with every cell checked before the first job starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

from theta0.identity import register_resolvers

if TYPE_CHECKING:
    from theta0.sweep.compose import Composer

register_resolvers()  # a worker process of a launcher imports plug-ins, not the entry file


class CheckedSweeper(BasicSweeper):
    """The product of the axes, once it has been found sound."""

    def sweep(self, arguments: list[str]) -> Any:
        """Check, then launch. Raises theta0.errors.ConfigError before anything is on disk.

        A sweep that names a study, and nothing that a run is made of, replays it.
        """
        from theta0.cli import Replay
        from theta0.sweep.callback import ending_in_order
        from theta0.sweep.commands import record_command
        from theta0.sweep.compose import Composer
        from theta0.sweep.replay import commands_to_replay, is_replay

        assert self.config is not None and self.hydra_context is not None
        compose = Composer.of(self.launcher, self.hydra_context.config_loader, self.config)
        axes = self._check([*self._parse_config(), *arguments], compose)
        if is_replay(axes):
            raise Replay(commands_to_replay(self.config, compose))
        record_command(self.config, multirun=True)
        with ending_in_order(self.hydra_context, self.config, self._jobs):
            return super().sweep(arguments)

    def _jobs(self) -> list[Sequence[str]]:
        """The words of each job, once the sweep has begun."""
        return [job for batch in self.overrides or () for job in batch]

    def validate_batch_is_legal(self, batch: Any) -> None:
        """Hydra would compose each cell in 0.1 s; theta0.sweep.axes has checked them."""

    def _check(self, arguments: list[str], compose: "Composer") -> dict[str, list[str]]:
        from theta0.errors import ConfigError
        from theta0.sweep.axes import check_axes

        overrides = compose.parser.parse_overrides(arguments)
        # A key's last word counts, and it may list several values: one axis a key.
        axes = {
            override.get_key_element(): [
                job[0] for job in self.split_arguments([override], None)[0]
            ]
            for override in overrides
        }
        for override in overrides:
            if not axes[override.get_key_element()]:
                raise ConfigError(f"{override.input_line}: holds no value")
        check_axes(compose, axes)
        return axes
