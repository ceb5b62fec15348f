"""θ₀ layer by layer, or activations against width: what src/inspect_init.py does."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from theta0.config import InspectConfig, check, check_lists
from theta0.errors import ConfigError


def inspect_init(config: DictConfig) -> None:
    """Print and draw what a composed configuration asks for; figures go to its `folder`.

    Raises ConfigError for a bad configuration, before torch is imported or data read; ValueError
    for a component that cannot be loaded, or that refuses what it was given.
    """
    check_lists(HydraConfig.get())
    plain = check(config, InspectConfig)
    if plain["mode"] == "coordinates" and not {"width", "widths"} & plain["model"].keys():
        raise ConfigError(
            f"mode=coordinates: {plain['model']['_target_']} has neither width nor widths to change"
        )
    from theta0.diagnostics.inspection import inspect_coordinates, inspect_layers

    inspect = {"layers": inspect_layers, "coordinates": inspect_coordinates}[plain["mode"]]
    try:
        inspect(plain)
    except ImportError as error:
        raise ValueError(str(error)) from error
