"""Where theta0's configurations are."""

from pathlib import Path


def configurations() -> Path:
    """configs/ beside src/ in a checkout, else the copy that an installed theta0 brings along."""
    package, source = Path(__file__).parents[:2]
    beside = source.with_name("configs")
    is_checkout = source.name == "src" and (beside / "train.yaml").is_file()
    return beside if is_checkout else package / "configs"
