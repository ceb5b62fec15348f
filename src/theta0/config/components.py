"""The schema of each component that theta0 ships, by group and `_target_`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from theta0.config.values import (
    Activation,
    AdafactorEps,
    AnyActivation,
    Auto,
    BelowOne,
    Betas,
    Classes,
    Count,
    Deterministic,
    Devices,
    DevRun,
    Finite,
    Fraction,
    Gain,
    Limit,
    NonNegative,
    Objectives,
    Positive,
    Precision,
    Price,
    RpropFactors,
    Schedule,
    Seed,
    Statistics,
    Strict,
    Whole,
)


def _component(**fields: Any) -> type[BaseModel]:
    """The schema of a component: fields by type, or (type, default) where one may be left out."""
    definitions: dict[str, Any] = {
        name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()
    }
    definitions["target"] = (str, Field(alias="_target_"))
    return create_model("Component", __base__=Strict, **definitions)


_decay: dict[str, Any] = {"weight_decay": NonNegative, "decay_bias_and_norm": bool}
_adam: dict[str, Any] = {"lr": Positive, "betas": Betas, "eps": Positive, **_decay}
_schedule_free: dict[str, Any] = {
    "lr": Positive,
    "warmup_steps": Annotated[int, Field(ge=0)],
    "r": NonNegative,
    "weight_lr_power": NonNegative,
    **_decay,
}
_open = Annotated[float, Field(gt=0, lt=1)]
_bias: dict[str, Any] = {
    "bias": (Literal["zeros", "torch", "constant", "normal"], "zeros"),
    "bias_value": (Finite, 0.0),
}
_gains: dict[str, Any] = {
    "gain": Gain,
    "output_gain": NonNegative,
    "activation": AnyActivation,
    "output_layer": str | None,
    **_bias,
}
_scaling: dict[str, Any] = {
    "scale": (Positive, 1.0),
    "fan": Literal["in", "out", "avg", "geo"],
    "distribution": Literal["normal", "truncated_normal", "uniform"],
    **_gains,
}
_widths = Annotated[list[Count], Field(min_length=1)]
_names = Annotated[list[str], Field(min_length=1)] | None
_norm = Literal["none", "batch", "layer", "rms", "weight"]
_sizes = create_model(
    "Sizes", __base__=Strict, train=(Count, ...), val=(Count, ...), test=(Count, ...)
)
_term: dict[str, Any] = {"scale": (Finite, 1.0)}
_test_rows: dict[str, Any] = {"test_samples": Count, "test_seed": Seed}

COMPONENTS: dict[str, dict[str, type[BaseModel]]] = {
    "model": {
        "theta0.models.MLP": _component(
            in_features=Count,
            out_features=Count,
            widths=_widths,
            activation=Activation,
            dropout=BelowOne,
            norm=_norm,
            bias=bool,
            residual=bool,
        ),
        "theta0.models.ResidualMLP": _component(
            in_features=Count,
            out_features=Count,
            width=Count,
            blocks=Count,
            layers_per_block=Count,
            activation=Activation,
            dropout=BelowOne,
            norm=_norm,
            branch=Literal["plain", "scaled", "fixup"],
            bias=bool,
        ),
        "theta0.models.Linear": _component(in_features=Count, out_features=Count, bias=bool),
    },
    "optimizer": {
        "torch.optim.SGD": _component(
            lr=Positive,
            momentum=(BelowOne, 0.0),
            dampening=(Fraction, 0.0),
            nesterov=(bool, False),
            fused=Auto,
            **_decay,
        ),
        "torch.optim.ASGD": _component(
            lr=Positive, lambd=NonNegative, alpha=NonNegative, t0=NonNegative, **_decay
        ),
        "torch.optim.Adadelta": _component(lr=Positive, rho=BelowOne, eps=Positive, **_decay),
        "torch.optim.Adagrad": _component(
            lr=Positive,
            lr_decay=NonNegative,
            initial_accumulator_value=NonNegative,
            eps=Positive,
            fused=Auto,
            **_decay,
        ),
        "torch.optim.RMSprop": _component(
            lr=Positive, alpha=BelowOne, eps=Positive, momentum=BelowOne, centered=bool, **_decay
        ),
        "torch.optim.Rprop": _component(
            lr=Positive,
            etas=RpropFactors,
            step_sizes=Annotated[list[Positive], Field(min_length=2, max_length=2)],
        ),
        "torch.optim.Adam": _component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.AdamW": _component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.Adamax": _component(**_adam),
        "torch.optim.NAdam": _component(
            momentum_decay=NonNegative, decoupled_weight_decay=bool, **_adam
        ),
        "torch.optim.RAdam": _component(decoupled_weight_decay=bool, **_adam),
        "torch.optim.Adafactor": _component(
            lr=Positive,
            beta2_decay=Annotated[float, Field(le=0)],
            eps=AdafactorEps,
            d=Annotated[float, Field(ge=1)],
            **_decay,
        ),
        "torch.optim.LBFGS": _component(
            lr=Positive,
            max_iter=Count,
            max_eval=Count | None,
            tolerance_grad=NonNegative,
            tolerance_change=NonNegative,
            history_size=Count,
            line_search_fn=Literal["strong_wolfe"] | None,
        ),
        "theta0.optim.AMSGrad": _component(**_adam),
        "theta0.optim.AdamWLH": _component(**_adam),
        "theta0.optim.Lion": _component(lr=Positive, betas=Betas, **_decay),
        "theta0.optim.Muon": _component(
            lr=Positive,
            momentum=BelowOne,
            nesterov=bool,
            newton_schulz_steps=Count,
            newton_schulz_dtype=Literal["bfloat16", "parameter"],
            adjust=Literal["original", "match_rms_adamw"],
            adamw_lr=Positive,
            adamw_betas=Betas,
            adamw_eps=Positive,
            adamw_weight_decay=NonNegative,
            **_decay,
        ),
        "theta0.optim.SAM": _component(
            lr=Positive, rho=Positive, adaptive=bool, base=dict[str, Any]
        ),
        "schedulefree.AdamWScheduleFree": _component(
            betas=Annotated[list[_open], Field(min_length=2, max_length=2)],
            eps=Positive,
            **_schedule_free,
        ),
        "schedulefree.SGDScheduleFree": _component(momentum=_open, **_schedule_free),
        "pytorch_optimizer.SOAP": _component(
            shampoo_beta=BelowOne | None,
            precondition_frequency=Count,
            max_precondition_dim=Count,
            merge_dims=bool,
            precondition_1d=bool,
            correct_bias=bool,
            normalize_gradient=bool,
            **_adam,
        ),
    },
    "scheduler": {
        "theta0.optim.constant": _component(),
        "theta0.optim.cosine": _component(final=Fraction),
        "theta0.optim.step": _component(milestones=list[Fraction], gamma=Positive),
        "theta0.optim.warmup_cosine": _component(warmup=Fraction, final=Fraction),
        "theta0.optim.one_cycle": _component(
            warmup=Annotated[float, Field(gt=0, lt=1)], start=Positive, final=Positive
        ),
        "torch.optim.lr_scheduler.ReduceLROnPlateau": _component(
            mode=Literal["min", "max"],
            factor=Annotated[float, Field(gt=0, lt=1)],
            patience=Annotated[int, Field(ge=0)],
            threshold=NonNegative,
            min_lr=NonNegative,
        ),
    },
    "init": {
        "theta0.init.VarianceScaling": _component(**_scaling),
        "theta0.init.Orthogonal": _component(**_gains),
        "theta0.init.DeltaOrthogonal": _component(**_gains),
        "theta0.init.Sparse": _component(connections=Count, std=NonNegative, **_bias),
        "theta0.init.Identity": _component(expand=Literal["identity", "hadamard"], **_bias),
        "theta0.init.Siren": _component(omega_0=Positive, output_layer=str | None, **_bias),
        "theta0.init.MeanField": _component(
            weight_variance=NonNegative,
            bias_variance=NonNegative,
            output_weight_variance=NonNegative,
            output_layer=str | None,
        ),
        "theta0.init.TruncatedNormal": _component(
            std=NonNegative, mean=Finite, low=Finite, high=Finite, **_bias
        ),
        "theta0.init.TorchDefault": _component(**_bias),
        "theta0.init.Normal": _component(mean=Finite, std=NonNegative, **_bias),
        "theta0.init.Uniform": _component(low=Finite, high=Finite, **_bias),
        "theta0.init.Zeros": _component(**_bias),
        "theta0.init.LSUV": _component(samples=Count, tol=Positive, max_iterations=Count),
        "theta0.init.WeightNorm": _component(std=Positive, samples=Count),
        "theta0.init.Fixup": _component(**_scaling),
        "theta0.init.ReZero": _component(base=dict[str, Any], alpha=Finite),
        "theta0.init.MuP": _component(base_width=Count, **_gains),
        "theta0.init.Pretrained": _component(
            path=str, match=Literal["strict", "partial"], prefix=str | None, rest=dict[str, Any]
        ),
    },
    "init.activation": {},
    "finetune": {
        "theta0.finetune.Head": _component(layers=_names),
        "theta0.finetune.Biases": _component(head=bool),
        "theta0.finetune.LoRA": _component(
            rank=Count, alpha=Count, dropout=BelowOne, layers=_names, head=bool
        ),
    },
    "loss": {
        "torch.nn.CrossEntropyLoss": _component(label_smoothing=BelowOne, **_term),
        "theta0.losses.MSE": _component(**_term),
        "theta0.losses.L1": _component(bias_and_norm=bool, **_term),
        "theta0.losses.L2": _component(bias_and_norm=bool, **_term),
        "theta0.losses.Monotonic": _component(
            feature=Annotated[int, Field(ge=0)],
            direction=Literal["increasing", "decreasing"],
            delta=Positive,
            **_term,
        ),
    },
    "augmentation": {
        "theta0.augmentation.PerSample": _component(transform=dict[str, Any]),
        "theta0.augmentation.Affine": _component(degrees=NonNegative, shift=Fraction),
        "theta0.augmentation.GaussianNoise": _component(std=NonNegative),
        "theta0.augmentation.MixUp": _component(alpha=Positive, num_classes=Count | None),
        "theta0.augmentation.CutMix": _component(alpha=Positive, num_classes=Classes),
    },
    "adversary": {
        "theta0.adversary.FGSM": _component(eps=Positive, share=Fraction),
        "theta0.adversary.PGD": _component(
            eps=Positive, step=Positive, steps=Count, random_start=bool, share=Fraction
        ),
    },
    "data": {
        "theta0.data.DataModule": _component(
            source=dict[str, Any],
            shape=_widths,
            num_features=Count,
            num_outputs=Count,
            num_classes=Annotated[int, Field(ge=2)] | None,
            samples=_sizes,
            batch_size=Count,
            eval_batch_size=Count,
            mean=Statistics,
            std=Statistics,
            drop_last=bool,
            split_seed=Seed,
            order_seed=Seed,
        ),
    },
    "data.source": {
        "theta0.data.Mnist5k": _component(**_test_rows),
        "theta0.data.Digits": _component(**_test_rows),
        "theta0.data.TorchvisionSet": _component(
            name=Literal["MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN"], root=str
        ),
        "theta0.data.OpenML": _component(name=str, version=Count, root=str, test_samples=Count),
        "theta0.data.Saturating": _component(
            noise=NonNegative, train_samples=Count, test_samples=Count, seed=Seed
        ),
        "theta0.data.LinearRegression": _component(
            weight=Annotated[list[Finite], Field(min_length=1)],
            bias=Finite,
            noise=NonNegative,
            train_samples=Count,
            test_samples=Count,
            seed=Seed,
        ),
    },
    "trainer": {
        "lightning.Trainer": _component(
            accelerator=str,
            devices=Devices,
            num_nodes=Count,
            strategy=str,
            precision=Precision,
            max_epochs=Annotated[int, Field(ge=-1)] | None,
            max_steps=Annotated[int, Field(ge=-1)],
            max_time=str | None,
            accumulate_grad_batches=Count,
            gradient_clip_val=Positive | None,
            gradient_clip_algorithm=Literal["norm", "value"],
            check_val_every_n_epoch=Count,
            log_every_n_steps=Count,
            limit_train_batches=Limit,
            limit_val_batches=Limit,
            limit_test_batches=Limit,
            overfit_batches=NonNegative,
            fast_dev_run=DevRun,
            profiler=Literal["simple", "advanced", "pytorch"] | None,
            detect_anomaly=bool,
            deterministic=Deterministic,
            benchmark=bool,
        ),
    },
    "callbacks": {
        "theta0.callbacks.Checkpoint": _component(
            monitor=str, mode=Literal["min", "max"], every_n_seconds=NonNegative
        ),
        "theta0.diagnostics.Diagnostics": _component(price=Price, schedule=Schedule, samples=Count),
        "theta0.callbacks.GradientNoise": _component(eta=Positive, gamma=NonNegative, seed=Seed),
        "theta0.callbacks.AdaptiveClipping": _component(factor=Positive, eps=Positive),
        "theta0.callbacks.EMA": _component(decay=BelowOne),
        "theta0.callbacks.SWA": _component(start=BelowOne),
        "lightning.pytorch.callbacks.EarlyStopping": _component(
            monitor=str,
            mode=Literal["min", "max"],
            patience=Annotated[int, Field(ge=0)],
            min_delta=NonNegative,
            check_on_train_epoch_end=bool | None,
            stopping_threshold=(Finite | None, None),
            divergence_threshold=(Finite | None, None),
            check_finite=(bool, True),
            strict=(bool, True),
        ),
    },
    "logger": {
        "theta0.tracking.wandb_logger": _component(
            project=str, entity=str | None, group=str, tags=list[str]
        ),
        "theta0.tracking.tensorboard_logger": _component(),
        "theta0.tracking.no_logger": _component(),
    },
    "pruning": {
        "theta0.callbacks.SuccessiveHalving": _component(
            min_epochs=Count, reduction_factor=Annotated[int, Field(ge=2)]
        ),
    },
    "hydra.sweeper": {
        "hydra_plugins.optuna_sweeper.OptunaSweeper": _component(
            sampler=Literal["tpe", "cmaes", "random", "qmc", "grid", "nsga2"],
            n_trials=Count,
            batch_size=Count,
            seed=Whole,
            defaults_first=bool,
            balance=str | None,
            objectives=Objectives,
            settings=dict[str, Any] | None,
            params=dict[str, Any] | None,
        ),
    },
    "hydra.launcher": {
        "hydra_plugins.joblib_launcher.JoblibLauncher": _component(
            n_jobs=Count | None, gpus=Whole, retries=Whole
        ),
        "hydra_plugins.ray_launcher.RayLauncher": _component(
            address=str,
            num_cpus=NonNegative | None,
            num_gpus=NonNegative | None,
            retries=Whole,
        ),
        "hydra_plugins.serial_launcher.SerialLauncher": _component(),
        "hydra_plugins.stacked_launcher.StackedLauncher": _component(
            members=Count | None, workers=Count | None, threads=Count | None, retries=Whole
        ),
        "hydra_plugins.submitit_launcher.SlurmLauncher": _component(
            job_name=str,
            partition=str | None,
            account=str | None,
            qos=str | None,
            constraint=str | None,
            time=Count,
            cpus_per_task=Count | None,
            gpus_per_node=Count | None,
            mem=str | None,
            array_parallelism=Count,
            signal_delay_s=Count,
            max_num_timeout=Whole,
            setup=list[str] | None,
            srun_args=list[str] | None,
            additional_parameters=dict[str, Any] | None,
        ),
        "hydra_plugins.submitit_launcher.LocalLauncher": _component(
            timeout_min=Count, gpus_per_node=Whole, signal_delay_s=Count, max_num_timeout=Whole
        ),
    },
}
