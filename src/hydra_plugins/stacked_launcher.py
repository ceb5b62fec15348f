"""`hydra/launcher=stacked`: jobs of a sweep that differ in numbers only train as one network."""

from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn

from theta0.launchers.launcher import SweepLauncher

if TYPE_CHECKING:
    from theta0.launchers.sweep import Job
    from theta0.stacked.launch import StackedLaunch


class StackedLauncher(SweepLauncher):
    """Options and their defaults are in configs/hydra/launcher/stacked.yaml."""

    needs = "torch"
    stacked: "StackedLaunch | None" = None

    def do(self, jobs: "list[Job]") -> list[JobReturn]:
        from theta0.stacked.launch import StackedLaunch

        if self.stacked is None:  # it stays for the sweep's other batches
            options = {key: value for key, value in self.options.items() if key != "_target_"}
            self.stacked = StackedLaunch(self.sweep, **options)
        return self.stacked(jobs)
