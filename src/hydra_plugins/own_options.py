"""theta0's launchers and sweepers beside plug-ins of the same names, such as hydra-joblib-launcher.

Those plug-ins register a schema by the name of the option, with which Hydra would merge ours.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

from theta0.configurations import configurations


class OwnOptions(SearchPathPlugin):
    """Called once all plug-ins are known, before any configuration is read."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Drop the schemas of other plug-ins for the options that theta0 has a file of."""
        known = ConfigStore.instance().repo.get("hydra", {})
        for file in (configurations() / "hydra").glob("*/*.yaml"):
            known.get(file.parent.name, {}).pop(file.name, None)
