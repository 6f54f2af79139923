"""The options that `run` and `plan` share, and what they say together: a grid."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import UsageError
from .completing import names
from .from_file import read

if TYPE_CHECKING:
    from ...config import RunConfig

GRID = "What to run"
WHERE = "Where"
RESULTS = Path("results")
"""Where rows are written, and looked for, unless the command says otherwise."""

Methods = Annotated[
    list[str],
    typer.Option(
        "--method", help="Methods; see 'list methods'.", autocompletion=names("methods"), rich_help_panel=GRID
    ),
]
Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="Models: names, hub ids or folders; see 'list models'.",
        autocompletion=names("models"),
        rich_help_panel=GRID,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="Tasks [default: those that come with the package].",
        autocompletion=names("tasks"),
        rich_help_panel=GRID,
    ),
]
Attacks = Annotated[
    list[str] | None,
    typer.Option(
        "--attack",
        help="Attacks on every unlearned model and on what it is measured by; see 'list attacks' [default: none].",
        autocompletion=names("attacks"),
        rich_help_panel=GRID,
    ),
]
Seeds = Annotated[list[str] | None, typer.Option("--seed", help="Seeds [default: 0].", rich_help_panel=GRID)]
BaseSeed = Annotated[
    str | None, typer.Option(help="Seed of the base model's training [default: the seed].", rich_help_panel=GRID)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="OWNER.PARAM=V1,V2 for a method, a task or 'base'; see 'show NAME'.", rich_help_panel=GRID
    ),
]
Forget = Annotated[
    list[str] | None,
    typer.Option(help="Identities to forget: a number or a split's name [default: the task's].", rich_help_panel=GRID),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TASK=]SOURCE",
        help="embedded, hub, or what the task reads: a folder, a table, a hub id; of all tasks or of one "
        "[default: the model's].",
        rich_help_panel=WHERE,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Ask this many questions of each task that can ask fewer, drawn with a fixed seed; rows say so.",
        rich_help_panel=GRID,
    ),
]
Results = Annotated[Path, typer.Option(help="Folder of rows and samples.", rich_help_panel=WHERE)]
StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Folder of trained models, shared by runs [default: ~/.cache/unlearnbench].",
        rich_help_panel=WHERE,
    ),
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="A single file with plug-ins; repeatable.", rich_help_panel=WHERE)
]
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda [default: a GPU if there is one].", rich_help_panel=WHERE)
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="auto|full|8bit|offload|lora",
        help="How base models, and a retrained one, are finetuned: all weights with AdamW in float32, with 8-bit "
        "states, with states in the CPU's memory, or an adapter that is merged; auto: the first that fits [default: "
        "auto for large models, full for tiny ones].",
        rich_help_panel=GRID,
    ),
]
GPUMemory = Annotated[
    float | None,
    typer.Option(min=1, help="GB to count for of each GPU [default: those of the GPUs here].", rich_help_panel=WHERE),
]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base-model",
        metavar="MODEL[@ADAPTER]",
        help="A base that was made elsewhere from --model: a folder or hub id, with an adapter of PEFT on it if there "
        "is one [default: it is finetuned here].",
        rich_help_panel=GRID,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML or YAML file of these options, by their names without dashes; what is typed goes before it.",
        callback=read,
        is_eager=True,
        rich_help_panel=GRID,
    ),
]


@dataclass(frozen=True)
class GridOptions:
    """What `run` and `plan` are asked for, as it was typed."""

    method: Methods
    model: Models
    task: Tasks = None
    attack: Attacks = None
    seed: Seeds = None
    base_seed: BaseSeed = None
    settings: Set = None
    forget: Forget = None
    data: Data = None
    limit: Limit = None
    results: Results = RESULTS
    store: StoreFolder = None
    plugin: Plugins = None
    device: Device = None
    base: Base = None
    gpu_memory: GPUMemory = None
    base_model: BaseModel = None
    file: ConfigFile = None

    def config(self, *, exact: bool = False) -> "RunConfig":
        """The grid that the options describe, plug-in files loaded. Repeated options and comma lists are the same."""
        from ...config import BASE, RunConfig, all_methods, parse_settings, with_references
        from ...registry import load_plugin, methods

        for file in self.plugin or ():
            load_plugin(file)
        given: dict[str, Any] = {
            "tasks": listed(self.task),
            "attacks": listed(self.attack),
            "seeds": integers("--seed", self.seed),
            "forget": tuple(number_or_name(text) for text in listed(self.forget)),
        }
        config = with_references(
            RunConfig(
                methods=listed(self.method),
                models=listed(self.model),
                base_seed=None if self.base_seed is None else _integer("--base-seed", self.base_seed),
                limit=self.limit,
                base_model=self.base_model,
                device=self.device,
                exact=exact,
                **_sources(self.data or ()),
                **{name: value for name, value in given.items() if value},
            )
        )
        owners = (*config.owners, *methods.names())  # a method that another goes on with may be set too
        typed = config.model_copy(update={"settings": parse_settings(self.settings or (), owners)})
        trained = all_methods(typed) if self.base_model else (BASE, *all_methods(typed))
        chosen = (*_finetuned(self.base, trained), *(self.settings or ()))
        return config.model_copy(update={"settings": parse_settings(chosen, owners)})


def _finetuned(base: str | None, owners: Sequence[str]) -> tuple[str, ...]:
    """``--base`` as the settings that it is short for: of the base, and of methods that finetune as it does."""
    from ...config import BASE
    from ...registry import methods
    from ...training.params import BASES, BaseParams

    if base in (None, "auto"):
        return ()
    if base not in BASES:
        raise UsageError(f"--base {base}: choose one of: auto, {', '.join(BASES)}")
    ours = [name for name in owners if name in methods and issubclass(methods.get(name).Params, BaseParams)]
    alike = [name for name in owners if name == BASE or name in ours]
    sets = [f"{name}={json.dumps(value)}" for name, value in BASES[base].items()]
    return tuple(f"{owner}.{each}" for owner in alike for each in sets)


def _sources(options: Sequence[str]) -> dict[str, Any]:
    """``SOURCE`` for all tasks, ``TASK=SOURCE`` for one; a path may hold an equals sign, but after no task's name."""
    from ...registry import tasks

    whole: list[str] = []
    single: dict[str, str] = {}
    for option in options:
        task, equals, source = option.partition("=")
        if equals and task in tasks:
            if single.setdefault(task, source) != source:
                raise UsageError(f"--data {option}: --data {task}={single[task]} is given already; give one")
        else:
            whole.append(option)
    if len(whole) > 1:
        raise UsageError(f"--data {whole[1]}: --data {whole[0]} is given already; write TASK=SOURCE for a single task")
    return {"data": whole[0] if whole else None, "data_of": single}


def listed(options: Sequence[str] | None) -> tuple[str, ...]:
    """The names in repeated options and comma lists, each once."""
    names = [name.strip() for option in options or () for name in option.split(",")]
    return tuple(dict.fromkeys(name for name in names if name))


def number_or_name(text: str) -> int | str:
    """How many to forget, or a split's name."""
    try:
        return int(text)
    except ValueError:
        return text


def integers(option: str, given: list[str] | None) -> tuple[int, ...]:
    """Whole numbers from repeated options and comma lists; raises UsageError for what is none."""
    return tuple(_integer(option, each) for each in listed(given))


def _integer(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} {text}: give a whole number") from None
