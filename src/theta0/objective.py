"""What a run is judged by: which way its metric is better, and what a value counts for."""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from theta0.errors import choices

Mode = Literal["min", "max"]

WORST: dict[str, float] = {"min": math.inf, "max": -math.inf}

LOWER = {
    "CalibrationError", "ContinuousRankedProbabilityScore", "CoverageError", "EER",
    "HammingDistance", "HingeLoss", "JensenShannonDivergence", "KLDivergence", "LogCoshError",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogError",
    "MinkowskiDistance", "NormalizedRootMeanSquaredError", "Perplexity", "RankingLoss",
    "RelativeSquaredError", "SymmetricMeanAbsolutePercentageError", "TweedieDevianceScore",
    "WeightedMeanAbsolutePercentageError",
}  # fmt: skip
"""Classes of torchmetrics, without Binary, Multiclass or Multilabel, of which less is better."""

HIGHER = {
    "AUROC", "Accuracy", "AveragePrecision", "CohenKappa", "ConcordanceCorrCoef",
    "CosineSimilarity", "CriticalSuccessIndex", "ExactMatch", "ExplainedVariance", "F1Score",
    "FBetaScore", "JaccardIndex", "KendallRankCorrCoef", "LogAUC", "MatthewsCorrCoef",
    "NegativePredictiveValue", "PearsonCorrCoef", "Precision", "PrecisionAtFixedRecall",
    "R2Score", "RankingAveragePrecision", "Recall", "RecallAtFixedPrecision",
    "SensitivityAtSpecificity", "SpearmanCorrCoef", "Specificity", "SpecificityAtSensitivity",
}  # fmt: skip
"""Likewise, of which more is better. By name, since a configuration is read before torch is."""


def direction(metric: str, metrics: Mapping[str, Any]) -> Mode | None:
    """Whether less ("min") or more ("max") of a metric is better; None where nothing tells.

    Args:
        metric: as a run records it: "val/loss", "test/acc_robust", "val/f1.3" of the fourth class.
        metrics: the configuration's nodes, by name.
    """
    name = metric.partition("/")[2].partition(".")[0].removesuffix("_robust")
    if name == "loss" or name.startswith("loss_"):
        return "min"
    target = str((metrics.get(name) or {}).get("_target_", ""))
    package, _, cls = target.rpartition(".")
    cls = re.sub("^(Binary|Multiclass|Multilabel)", "", cls)
    if package.partition(".")[0] != "torchmetrics":
        return None
    return "min" if cls in LOWER else "max" if cls in HIGHER else None


def require_measured(metric: str, values: Mapping[str, float]) -> None:
    """Raise ValueError, in one line, unless a validation has measured the objective's metric."""
    if metric not in values:
        raise ValueError(f"objective.metric={metric}: {choices(metric, values)}")


def counted(value: float | None, mode: str) -> float:
    """The value; the worst that there is where it is missing or not finite."""
    return WORST[mode] if value is None or not math.isfinite(value) else value
