"""The schema of each component that theta0 ships, by group and `_target_`."""

import functools
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model

from theta0.config.values import (
    LARGEST,
    Accelerator,
    Activation,
    AdafactorEps,
    AnyActivation,
    Auto,
    BelowOne,
    Betas,
    BetweenZeroAndOne,
    Classes,
    Count,
    Deterministic,
    Devices,
    DevRun,
    Duration,
    Epochs,
    Finite,
    Fraction,
    Gain,
    Limit,
    Means,
    Node,
    NonNegative,
    NonPositive,
    Objectives,
    Overfit,
    Positive,
    Precision,
    Price,
    RpropFactors,
    Scales,
    Schedule,
    Seed,
    Several,
    Steps,
    Strategy,
    Strict,
    Tags,
    Text,
    Whole,
)


class Component:
    """The schema of a component: fields by type, or (type, default) where one may be left out."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    @functools.cached_property
    def schema(self) -> type[BaseModel]:
        """Built when a configuration has this component: all of them take 50 ms of every start."""
        definitions: dict[str, Any] = {
            name: field if isinstance(field, tuple) else (field, ...)
            for name, field in self.fields.items()
        }
        definitions["target"] = (str, Field(alias="_target_"))
        return create_model("Component", __base__=Strict, **definitions)


_decay: dict[str, Any] = {"weight_decay": NonNegative, "decay_bias_and_norm": bool}
_adam: dict[str, Any] = {"lr": Positive, "betas": Betas, "eps": Positive, **_decay}
_schedule_free: dict[str, Any] = {
    "lr": Positive,
    "warmup_steps": Whole,
    "r": NonNegative,
    "weight_lr_power": NonNegative,
    **_decay,
}
_bias: dict[str, Any] = {
    "bias": (Literal["zeros", "torch", "constant", "normal"], "zeros"),
    "bias_value": (Finite, 0.0),
}
_gains: dict[str, Any] = {
    "gain": Gain,
    "output_gain": NonNegative,
    "activation": AnyActivation,
    "output_layer": Text | None,
    **_bias,
}
_scaling: dict[str, Any] = {
    "scale": (Positive, 1.0),
    "fan": Literal["in", "out", "avg", "geo"],
    "distribution": Literal["normal", "truncated_normal", "uniform"],
    **_gains,
}
_widths = Annotated[list[Count], Field(min_length=1)]
_names = Annotated[list[Text], Field(min_length=1)] | None
_norm = Literal["none", "batch", "layer", "rms", "weight"]
_sizes = create_model(
    "Sizes", __base__=Strict, train=(Count, ...), val=(Count, ...), test=(Count, ...)
)
_term: dict[str, Any] = {"scale": (Finite, 1.0)}
_test_rows: dict[str, Any] = {"test_samples": Count, "test_seed": Seed}

COMPONENTS: dict[str, dict[str, Component]] = {
    "model": {
        "theta0.models.MLP": Component(
            in_features=Count,
            out_features=Count,
            widths=_widths,
            activation=Activation,
            dropout=BelowOne,
            norm=_norm,
            bias=bool,
            residual=bool,
        ),
        "theta0.models.ResidualMLP": Component(
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
        "theta0.models.Linear": Component(in_features=Count, out_features=Count, bias=bool),
    },
    "optimizer": {
        "torch.optim.SGD": Component(
            lr=Positive,
            momentum=(BelowOne, 0.0),
            dampening=(Fraction, 0.0),
            nesterov=(bool, False),
            fused=Auto,
            **_decay,
        ),
        "torch.optim.ASGD": Component(
            lr=Positive, lambd=NonNegative, alpha=NonNegative, t0=NonNegative, **_decay
        ),
        "torch.optim.Adadelta": Component(lr=Positive, rho=BelowOne, eps=Positive, **_decay),
        "torch.optim.Adagrad": Component(
            lr=Positive,
            lr_decay=NonNegative,
            initial_accumulator_value=NonNegative,
            eps=Positive,
            fused=Auto,
            **_decay,
        ),
        "torch.optim.RMSprop": Component(
            lr=Positive, alpha=BelowOne, eps=Positive, momentum=BelowOne, centered=bool, **_decay
        ),
        "torch.optim.Rprop": Component(
            lr=Positive,
            etas=RpropFactors,
            step_sizes=Annotated[list[Positive], Field(min_length=2, max_length=2)],
        ),
        "torch.optim.Adam": Component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.AdamW": Component(amsgrad=bool, fused=Auto, **_adam),
        "torch.optim.Adamax": Component(**_adam),
        "torch.optim.NAdam": Component(
            momentum_decay=NonNegative, decoupled_weight_decay=bool, **_adam
        ),
        "torch.optim.RAdam": Component(decoupled_weight_decay=bool, **_adam),
        "torch.optim.Adafactor": Component(
            lr=Positive,
            beta2_decay=NonPositive,
            eps=AdafactorEps,
            d=Annotated[float, Field(ge=1, le=LARGEST)],
            **_decay,
        ),
        "torch.optim.LBFGS": Component(
            lr=Positive,
            max_iter=Count,
            max_eval=Count | None,
            tolerance_grad=NonNegative,
            tolerance_change=NonNegative,
            history_size=Count,
            line_search_fn=Literal["strong_wolfe"] | None,
        ),
        "theta0.optim.AMSGrad": Component(**_adam),
        "theta0.optim.AdamWLH": Component(**_adam),
        "theta0.optim.Lion": Component(lr=Positive, betas=Betas, **_decay),
        "theta0.optim.Muon": Component(
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
        "theta0.optim.SAM": Component(lr=Positive, rho=Positive, adaptive=bool, base=Node),
        "schedulefree.AdamWScheduleFree": Component(
            betas=Annotated[list[BetweenZeroAndOne], Field(min_length=2, max_length=2)],
            eps=Positive,
            **_schedule_free,
        ),
        "schedulefree.SGDScheduleFree": Component(momentum=BetweenZeroAndOne, **_schedule_free),
        "pytorch_optimizer.SOAP": Component(
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
        "theta0.optim.constant": Component(),
        "theta0.optim.cosine": Component(final=Fraction),
        "theta0.optim.step": Component(milestones=list[Fraction], gamma=Positive),
        "theta0.optim.warmup_cosine": Component(warmup=Fraction, final=Fraction),
        "theta0.optim.one_cycle": Component(
            warmup=BetweenZeroAndOne, start=Positive, final=Positive
        ),
        "torch.optim.lr_scheduler.ReduceLROnPlateau": Component(
            mode=Literal["min", "max"],
            factor=BetweenZeroAndOne,
            patience=Whole,
            threshold=NonNegative,
            threshold_mode=(Literal["rel", "abs"], "rel"),
            cooldown=(Whole, 0),
            min_lr=NonNegative,
            eps=(NonNegative, 1e-8),
        ),
    },
    "init": {
        "theta0.init.VarianceScaling": Component(**_scaling),
        "theta0.init.Orthogonal": Component(**_gains),
        "theta0.init.DeltaOrthogonal": Component(**_gains),
        "theta0.init.Sparse": Component(connections=Count, std=NonNegative, **_bias),
        "theta0.init.Identity": Component(expand=Literal["identity", "hadamard"], **_bias),
        "theta0.init.Siren": Component(omega_0=Positive, output_layer=Text | None, **_bias),
        "theta0.init.MeanField": Component(
            weight_variance=NonNegative,
            bias_variance=NonNegative,
            output_weight_variance=NonNegative,
            output_layer=Text | None,
        ),
        "theta0.init.TruncatedNormal": Component(
            std=NonNegative, mean=Finite, low=Finite, high=Finite, **_bias
        ),
        "theta0.init.TorchDefault": Component(**_bias),
        "theta0.init.Normal": Component(mean=Finite, std=NonNegative, **_bias),
        "theta0.init.Uniform": Component(low=Finite, high=Finite, **_bias),
        "theta0.init.Zeros": Component(**_bias),
        "theta0.init.LSUV": Component(samples=Count, tol=Positive, max_iterations=Count),
        "theta0.init.WeightNorm": Component(std=Positive, samples=Count),
        "theta0.init.Fixup": Component(**_scaling),
        "theta0.init.ReZero": Component(base=Node, alpha=Finite),
        "theta0.init.MuP": Component(base_width=Count, **_gains),
        "theta0.init.Pretrained": Component(
            path=Text, match=Literal["strict", "partial"], prefix=str | None, rest=Node
        ),
    },
    "init.activation": {},
    "finetune": {
        "theta0.finetune.Head": Component(layers=_names),
        "theta0.finetune.Biases": Component(head=bool),
        "theta0.finetune.LoRA": Component(
            rank=Count, alpha=Count, dropout=BelowOne, layers=_names, head=bool
        ),
    },
    "loss": {
        "torch.nn.CrossEntropyLoss": Component(
            label_smoothing=BelowOne,
            weight=(list[NonNegative] | None, None),
            reduction=(Literal["mean"], "mean"),
            **_term,
        ),
        "theta0.losses.MSE": Component(**_term),
        "theta0.losses.L1": Component(bias_and_norm=bool, **_term),
        "theta0.losses.L2": Component(bias_and_norm=bool, **_term),
        "theta0.losses.Monotonic": Component(
            feature=Whole,
            direction=Literal["increasing", "decreasing"],
            delta=Positive,
            **_term,
        ),
    },
    "augmentation": {
        "theta0.augmentation.PerSample": Component(transform=Node),
        "theta0.augmentation.Affine": Component(degrees=NonNegative, shift=Fraction),
        "theta0.augmentation.GaussianNoise": Component(std=NonNegative),
        "theta0.augmentation.MixUp": Component(alpha=Positive, num_classes=Count | None),
        "theta0.augmentation.CutMix": Component(alpha=Positive, num_classes=Classes),
    },
    "augmentation.transform": {
        "torchvision.transforms.v2.RandomCrop": Component(
            size=Annotated[list[Count], Field(min_length=2, max_length=2)] | Count,
            padding=(Annotated[list[Whole], Field(min_length=1)] | Whole | None, None),
            pad_if_needed=(bool, False),
            fill=(Finite, 0),
            padding_mode=(Literal["constant", "edge", "reflect", "symmetric"], "constant"),
        ),
        "torchvision.transforms.v2.RandomErasing": Component(
            p=(Fraction, 0.5),
            scale=(Annotated[list[Fraction], Field(min_length=2, max_length=2)], [0.02, 0.33]),
            ratio=(Annotated[list[Positive], Field(min_length=2, max_length=2)], [0.3, 3.3]),
            value=(Finite | Literal["random"], 0),
            inplace=(bool, False),
        ),
        "torchvision.transforms.v2.RandomHorizontalFlip": Component(p=(Fraction, 0.5)),
    },
    "metrics": {
        "torchmetrics.classification.MulticlassAccuracy": Component(
            num_classes=Several | None,
            average=(Literal["micro", "macro", "weighted", "none"] | None, "macro"),
            top_k=(Count, 1),
            multidim_average=(Literal["global"], "global"),
            ignore_index=(int | None, None),
            validate_args=(bool, True),
        ),
        "torchmetrics.MeanSquaredError": Component(squared=(bool, True), num_outputs=(Count, 1)),
        "torchmetrics.MeanAbsoluteError": Component(num_outputs=(Count, 1)),
        "torchmetrics.R2Score": Component(
            adjusted=(Whole, 0),
            multioutput=(
                Literal["raw_values", "uniform_average", "variance_weighted"],
                "uniform_average",
            ),
        ),
    },
    "adversary": {
        "theta0.adversary.FGSM": Component(eps=Positive, share=Fraction),
        "theta0.adversary.PGD": Component(
            eps=Positive, step=Positive, steps=Count, random_start=bool, share=Fraction
        ),
    },
    "data": {
        "theta0.data.DataModule": Component(
            source=Node,
            shape=_widths,
            num_features=Count,
            num_outputs=Count,
            num_classes=Several | None,
            samples=_sizes,
            batch_size=Count,
            eval_batch_size=Count,
            mean=Means,
            std=Scales,
            drop_last=bool,
            split_seed=Seed,
            order_seed=Seed,
        ),
    },
    "data.source": {
        "theta0.data.Mnist5k": Component(**_test_rows),
        "theta0.data.Digits": Component(**_test_rows),
        "theta0.data.TorchvisionSet": Component(
            name=Literal["MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN"],
            root=Text,
        ),
        "theta0.data.OpenML": Component(name=Text, version=Count, root=Text, test_samples=Count),
        "theta0.data.Saturating": Component(
            noise=NonNegative, train_samples=Count, test_samples=Count, seed=Seed
        ),
        "theta0.data.LinearRegression": Component(
            weight=Annotated[list[Finite], Field(min_length=1)],
            bias=Finite,
            noise=NonNegative,
            train_samples=Count,
            test_samples=Count,
            seed=Seed,
        ),
    },
    "trainer": {
        "lightning.Trainer": Component(
            accelerator=Accelerator,
            devices=Devices,
            num_nodes=Count,
            strategy=Strategy,
            precision=Precision,
            max_epochs=Epochs,
            max_steps=Steps,
            max_time=Duration | None,
            accumulate_grad_batches=Count,
            gradient_clip_val=Positive | None,
            gradient_clip_algorithm=Literal["norm", "value"],
            check_val_every_n_epoch=Count,
            log_every_n_steps=Count,
            limit_train_batches=Limit,
            limit_val_batches=Limit,
            limit_test_batches=Limit,
            overfit_batches=Overfit,
            fast_dev_run=DevRun,
            profiler=Literal["simple", "advanced", "pytorch"] | None,
            detect_anomaly=bool,
            deterministic=Deterministic,
            benchmark=bool,
            sync_batchnorm=(bool, False),
        ),
    },
    "callbacks": {
        "theta0.callbacks.Checkpoint": Component(
            monitor=Text, mode=Literal["min", "max"], every_n_seconds=NonNegative
        ),
        "theta0.diagnostics.Diagnostics": Component(price=Price, schedule=Schedule, samples=Count),
        "theta0.callbacks.GradientNoise": Component(eta=Positive, gamma=NonNegative, seed=Seed),
        "theta0.callbacks.AdaptiveClipping": Component(factor=Positive, eps=Positive),
        "theta0.callbacks.EMA": Component(decay=BelowOne),
        "theta0.callbacks.SWA": Component(start=BelowOne),
        "lightning.pytorch.callbacks.LearningRateMonitor": Component(
            logging_interval=Literal["epoch", "step"] | None,
            log_momentum=(bool, False),
            log_weight_decay=(bool, False),
        ),
        "lightning.pytorch.callbacks.EarlyStopping": Component(
            monitor=Text,
            mode=Literal["min", "max"],
            patience=Whole,
            min_delta=NonNegative,
            check_on_train_epoch_end=bool | None,
            stopping_threshold=(Finite | None, None),
            divergence_threshold=(Finite | None, None),
            check_finite=(bool, True),
            strict=(bool, True),
        ),
    },
    "logger": {
        "theta0.tracking.wandb_logger": Component(
            project=Text, entity=Text | None, group=Text, tags=Tags
        ),
        "theta0.tracking.tensorboard_logger": Component(),
        "theta0.tracking.no_logger": Component(),
    },
    "pruning": {
        "theta0.callbacks.SuccessiveHalving": Component(min_epochs=Count, reduction_factor=Several),
    },
    "hydra.sweeper": {
        "hydra_plugins.optuna_sweeper.OptunaSweeper": Component(
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
        "hydra_plugins.joblib_launcher.JoblibLauncher": Component(
            n_jobs=Count | None, gpus=Whole, retries=Whole
        ),
        "hydra_plugins.ray_launcher.RayLauncher": Component(
            address=str,
            num_cpus=NonNegative | None,
            num_gpus=NonNegative | None,
            retries=Whole,
        ),
        "hydra_plugins.serial_launcher.SerialLauncher": Component(),
        "hydra_plugins.stacked_launcher.StackedLauncher": Component(
            members=Count | None, workers=Count | None, threads=Count | None, retries=Whole
        ),
        "hydra_plugins.submitit_launcher.SlurmLauncher": Component(
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
        "hydra_plugins.submitit_launcher.LocalLauncher": Component(
            timeout_min=Count, gpus_per_node=Whole, signal_delay_s=Count, max_num_timeout=Whole
        ),
    },
}

for _target, _optimizer in COMPONENTS["optimizer"].items():
    if _target.startswith("torch.optim.") and _target != "torch.optim.LBFGS":
        _optimizer.fields |= {"foreach": (bool | None, None), "maximize": (bool, False)}
for _init in COMPONENTS["init"].values():
    _init.fields |= {"strict": (bool, False)}
