"""Lightning's record of progress: a run of its own counts its steps elsewhere than a stack does."""

import copy
from typing import Any

import lightning


def solo_loops(trainer: lightning.Trainer, scheduled: bool) -> dict[str, Any]:
    """The loops' progress as a run of its own counts it (automatic optimisation)."""
    loops = {
        "fit_loop": copy.deepcopy(trainer.fit_loop.state_dict()),
        "validate_loop": trainer.validate_loop.state_dict(),
        "test_loop": trainer.test_loop.state_dict(),
        "predict_loop": trainer.predict_loop.state_dict(),
    }
    fit = loops["fit_loop"]
    manual = fit["epoch_loop.manual_optimization.optim_step_progress"]
    total, current = manual["total"], fit["epoch_loop.batch_progress"]["current"]
    current = {"ready": current["completed"], "completed": current["completed"]}
    fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"] = {
        "step": {"total": total, "current": current},
        "zero_grad": {
            "total": total | {"started": total["completed"]},
            "current": current | {"started": current["completed"]},
        },
    }
    if scheduled:
        fit["epoch_loop.scheduler_progress"] = {"total": total, "current": current}
    none = {"ready": 0, "completed": 0}
    fit["epoch_loop.manual_optimization.optim_step_progress"] = {"total": none, "current": none}
    return copy.deepcopy(loops)


def stacked_loops(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The other way round: a run's own fit loop as a stack counts."""
    fit = copy.deepcopy(checkpoint["loops"]["fit_loop"])
    done = fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    fit["epoch_loop.manual_optimization.optim_step_progress"] = done
    return fit
