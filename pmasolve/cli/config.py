"""The configuration file: what it may say, checked as a whole, with errors that name the key and what is allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..machine.archives import unreadable_refused
from ..machine.arrays import shown
from .formulas import Formula, formula_value


def _number_of(value: Any) -> Any:
    return formula_value(value) if isinstance(value, str) else value


def _formula_text(value: str) -> str:
    return Formula(value).text


Number = Annotated[float, BeforeValidator(_number_of), Field(allow_inf_nan=False)]  # 0.25 or "1/4"
Positive = Annotated[Number, Field(gt=0)]
Expression = Annotated[str, AfterValidator(_formula_text)]


class Table(BaseModel):
    """A table of the file: no keys but those named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Domain(Table):
    """[domain]: ``kind``, ``shape`` and, if they are not all 1, ``lengths``."""

    kind: Literal["torus", "box"] = "torus"
    shape: list[Annotated[int, Field(ge=4)]] = Field(min_length=1, max_length=3)
    lengths: list[Positive] = []


class DensityTable(Table):
    """[source], [target]: one of ``formula`` (a density), ``potential`` (its negative logarithm), ``file`` (.npy, .png, …).

    Of a file ``array`` and ``frame`` say which of several; ``clip`` sets negative values of its size to 0.
    """

    formula: Expression | None = None
    potential: Expression | None = None
    file: Path | None = None
    floor: Annotated[Number, Field(ge=0)] = 0.0  # added to the density, in units of its greatest value
    clip: Annotated[Number, Field(ge=0)] = 0.0  # in the same units
    array: str | None = None
    frame: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> DensityTable:
        given = [key for key in ("formula", "potential", "file") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of formula, potential, file, not {' and '.join(given) or 'none'}")
        if self.floor and self.potential is not None:
            raise ValueError("floor is for densities: it cannot be added to a potential")
        if self.file is None and (self.clip or self.array is not None or self.frame is not None):
            raise ValueError("clip, array and frame are for files")
        return self


class Start(Table):
    """[initial]: u₀ by ``formula`` or ``file`` (.npy); 0 unless given."""

    formula: Expression | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Start:
        if self.formula is not None and self.file is not None:
            raise ValueError("give one of formula, file, not both")
        return self


class MongeAmpereTable(Table):
    """[flow] kind = "monge-ampere"."""

    kind: Literal["monge-ampere"]
    rtol: Positive = 1e-8
    space: Literal["fourier", "differences-2", "differences-4", "differences-6"] = "fourier"


class SinkhornTable(Table):
    """[flow] kind = "sinkhorn"."""

    kind: Literal["sinkhorn"]
    eps: Positive
    gauge: Literal["plain", "symmetric", "self", "forward"] = "plain"


class RichardsonTable(Table):
    """[flow] kind = "richardson"."""

    kind: Literal["richardson"]
    eps: Positive
    levels: Annotated[int, Field(ge=1)] = 2


class Run(Table):
    """[run]: the ``times`` and the file ``out`` for `pmasolve evolve`."""

    times: list[Annotated[Number, Field(ge=0)]] = Field(min_length=1)
    out: Path = Path("run.npz")


class StudyOf(Table):
    """[study]: ``eps``, ``t`` and the folder ``out`` for `pmasolve study`."""

    eps: list[Positive] = Field(min_length=2)
    t: Positive
    rtol: Positive = 1e-11
    out: Path = Path("study")


class Config(Table):
    """The whole file; a command needs [domain], [source], [target] and the tables of its own."""

    domain: Domain
    source: DensityTable
    target: DensityTable
    initial: Start = Start()
    flow: Annotated[MongeAmpereTable | SinkhornTable | RichardsonTable, Field(discriminator="kind")] | None = None
    run: Run | None = None
    study: StudyOf | None = None


def read_config(path: Path) -> Config:
    """A configuration from a TOML file; paths in it are relative to the file.

    Raises
    ------
    ValueError : what is wrong in it, one line each: key, value, what is allowed.
    OSError : it cannot be read.
    """
    with unreadable_refused(path, "a TOML file"):
        content = tomllib.loads(path.read_text("utf-8-sig"))  # some editors begin with a mark of byte order
    return located(checked_config(content, str(path)), path.parent)


def checked_config(content: Any, origin: str) -> Config:
    """A configuration from nested dictionaries.

    Examples
    --------
    >>> checked_config({"domain": {"kind": "ball", "shape": [8]}, "source": {"formula": "1"}, "target": {"formula": "1"}}, "here")
    Traceback (most recent call last):
    ...
    ValueError: here: domain.kind = 'ball': allowed are 'torus' or 'box'
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ValueError("\n".join(f"{origin}: {_line(dict(item))}" for item in error.errors())) from None


def located(config: Config, folder: Path) -> Config:
    """A configuration with the paths of its inputs made absolute, relative ones being taken from ``folder``."""
    tables = {}
    for name in ("source", "target", "initial"):
        table = getattr(config, name)
        tables[name] = (
            table if table.file is None else table.model_copy(update={"file": (folder / table.file).resolve()})
        )
    return config.model_copy(update=tables)


def _line(item: dict[str, Any]) -> str:
    """One error of pydantic's in our words."""
    where = [part for part in item["loc"] if part not in ("monge-ampere", "sinkhorn", "richardson")]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
    context = item.get("ctx", {})
    match item["type"]:
        case "literal_error":
            return f"{key} = {shown(item['input'])}: allowed are {context['expected']}"
        case "union_tag_invalid":
            return f"{key}.kind = {shown(context['tag'])}: allowed are {context['expected_tags'].replace(', ', ' or ')}"
        case "union_tag_not_found":
            return f"{key}.kind is missing: 'monge-ampere', 'sinkhorn' or 'richardson'"
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key}: there is no such key; the keys here are {', '.join(_keys(item['loc'][:-1]))}"
        case "value_error":
            return f"{key}: {context['error']}"
        case _:
            return f"{key} = {shown(item['input'])}: {item['msg'][0].lower()}{item['msg'][1:]}"


FLOW_TABLES: dict[str, type[Table]] = {
    "monge-ampere": MongeAmpereTable,
    "sinkhorn": SinkhornTable,
    "richardson": RichardsonTable,
}
CONFIG_TABLES: dict[str, type[Table]] = {
    "domain": Domain, "source": DensityTable, "target": DensityTable, "initial": Start, "run": Run, "study": StudyOf,
}  # fmt: skip


def _keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys of the table at a location."""
    model = Config if not location else (FLOW_TABLES | CONFIG_TABLES)[str(location[-1])]
    return list(model.model_fields)
