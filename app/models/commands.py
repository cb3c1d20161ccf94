"""`truelift model import`."""

import importlib.util
import pickle
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from app.contract.model import SCORE, Feature, content_sha256
from app.errors import CallerError
from app.models import lightgbm, onnx, sklearn, xgboost
from app.models.check import Agreement, agreement, read_sample
from app.models.imported import Imported, numbered, unsupported

model_app = typer.Typer(no_args_is_help=True, help="Models of other libraries as part of a policy.")

BOUND = 1e-6
_FEATURES = TypeAdapter(list[Feature])


@model_app.callback()
def _group() -> None:
    """One command today, and still a group: `truelift model import`."""


@model_app.command("import")
def import_command(
    file: Annotated[
        Path,
        typer.Argument(help="model.onnx, LightGBM's dump_model() or XGBoost's save_model() as .json, scikit-learn as .pkl."),
    ],
    features: Annotated[
        Path, typer.Option(help="YAML: where each input is found: a list of {name, path, type, default, min, max}.")
    ],
    sample: Annotated[Path, typer.Option(help="CSV: a column for each input, and `prediction` unless the library is here.")],
    out: Annotated[Path, typer.Option(help="YAML to write. One that is there gets one more score.")],
    name: Annotated[str, typer.Option(help="The score's name: that of a variant where the model is to choose.")] = SCORE,
    bound: Annotated[float, typer.Option(min=0, help="Refuse above this difference from the original.")] = BOUND,
    trusted: Annotated[bool, typer.Option(help="Open a pickle: it runs whatever code is in it.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Read a trained model, hold it against the original row by row, and write what goes under `model:` of a policy."""
    imported = read_model(file, trusted=trusted)
    declared = _in_order(read_features(features), imported.columns)
    imported = imported._replace(columns=[feature["name"] for feature in declared])
    found = agreement(imported, read_sample(sample, imported.columns))
    if found.difference > bound:
        raise CallerError(
            f"the imported model differs from the original by {found.difference:.3g} in row {found.row} of {found.rows}, "
            f"more than {bound:g}",
            "See if features are in the model's order; single precision alone may need --bound 1e-5",
        )
    made = _merged(out, imported, declared, name)
    out.write_text(yaml.safe_dump({"model": made}, sort_keys=False, default_flow_style=None, width=128), encoding="utf-8")
    _tell(found, made, out, json)


def read_model(file: Path, *, trusted: bool = False) -> Imported:
    """By the file's name and content. CallerError for what is none, UnsupportedModelError for what cannot be said."""
    if not file.is_file():
        raise CallerError(f"there is no file {file}", "Name the trained model")
    if file.suffix == ".onnx":
        _needs("onnx", file)
        return onnx.read(file)
    if file.suffix in (".pkl", ".pickle", ".joblib"):
        return sklearn.read(_unpickled(file, trusted=trusted))
    try:
        content = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CallerError(f"{file} is no JSON: {error}", "Give .onnx, .pkl, or the JSON of LightGBM or XGBoost") from None
    if lightgbm.is_dump(content):
        return lightgbm.read(content)
    if xgboost.is_model(content):
        return xgboost.read(content)
    raise unsupported(
        f"{file} is neither LightGBM's dump_model() nor XGBoost's save_model()", "A list of trees has lost its base score"
    )


def _unpickled(file: Path, *, trusted: bool) -> Any:
    if not trusted:
        raise CallerError(f"{file} is a pickle, which can run any code", "Export ONNX, or say --trusted for a file of your own")
    _needs("sklearn", file)
    if file.suffix == ".joblib":
        import joblib

        return joblib.load(file)
    with file.open("rb") as opened:
        return pickle.load(opened)  # noqa: S301 -- asked for by --trusted


def _needs(package: str, file: Path) -> None:
    if importlib.util.find_spec(package) is None:
        raise CallerError(f"{file} needs the package {package}", "pip install 'truelift[models]'")


def read_features(file: Path) -> list[dict[str, Any]]:
    """As written, checked. CallerError with every problem."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        _FEATURES.validate_python(raw)
    except OSError as error:
        raise CallerError(f"{file}: {error.strerror}", "Name a YAML file with a list of features") from None
    except yaml.YAMLError as error:
        raise CallerError(f"{file} is no YAML: {error}", "Write a list of {name, path, ...}") from None
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise CallerError(f"{file}: {said}", "Write a list of {name, path, type, default, min, max}") from None
    return list(raw)


def _in_order(features: list[dict[str, Any]], columns: Any) -> list[dict[str, Any]]:
    """By name where the model knows its inputs by name, else as they are listed."""
    by_name = {feature["name"]: feature for feature in features}
    if set(by_name) == set(columns):
        return [by_name[column] for column in columns]
    if len(features) == len(columns) and list(columns) == numbered(len(columns)):
        return features
    raise CallerError(
        f"the model's {len(columns)} inputs are {', '.join(columns)}; the features are {', '.join(by_name)}",
        "Declare one feature for each input, under its name",
    )


def _merged(out: Path, imported: Imported, features: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Into the model that is in `out` already, if it looks at the same features in the same way."""
    made: dict[str, Any] = {"kind": imported.kind, "features": features, "artefact": {}}
    if out.exists():
        before = (yaml.safe_load(out.read_text(encoding="utf-8")) or {}).get("model") or {}
        if (before.get("kind"), before.get("features")) != (imported.kind, features):
            raise CallerError(f"{out} holds a model of another kind or with other features", "Name another file")
        made = {key: value for key, value in before.items() if key != "sha256"}
    made["artefact"] = {**made["artefact"], name: dict(imported.artefact)}
    return {**made, "sha256": content_sha256(made)}


def _tell(found: Agreement, made: dict[str, Any], out: Path, json: bool) -> None:
    facts = {"rows": found.rows, "largest_difference": found.difference, "row": found.row, "sha256": made["sha256"]}
    if json:
        typer.echo(orjson.dumps({"schema": "truelift.model_import/1", **facts, "out": str(out)}).decode())
        return
    typer.echo(f"{found.rows:,} rows compared with the original: largest difference {found.difference:.3g} (row {found.row})")
    typer.echo(f"{made['kind']}, {len(made['features'])} features, scores {', '.join(made['artefact'])}; wrote {out}")
    typer.echo(f"sha256 {made['sha256']}")
