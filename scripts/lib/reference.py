"""Writes the reference documents from the code: metrics, configuration, failure reasons. A test holds them equal.

scripts/reference          write docs/metrics.md, docs/configuration.md, docs/reasons.md
scripts/reference --check  exit status 1 if one of them differs
"""

import ast
import enum
import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ssv_pool.observability import metrics
from ssv_pool.protocol.events import Outcome, Reason
from ssv_pool.settings import ENVIRONMENT, Settings

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"

MADE = "<!-- Made by scripts/reference from {source}; change that and run the script. -->"


def documents() -> dict[str, str]:
    """File name in ``docs`` → its text."""
    return {"metrics.md": metrics_page(), "configuration.md": configuration_page(), "reasons.md": reasons_page()}


def metrics_page() -> str:
    """Every metric."""
    found = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    rows = sorted(_metric(metric) for metric in found)
    return _page(
        "Metrics",
        "ssv_pool/observability/metrics.py",
        "The node serves these at `http://<api_host>:<metrics_port>/metrics` in the Prometheus text format, beside the "
        "Python process's own; a worker serves its own where `worker.metrics_port` is set. Histograms come as "
        "`_bucket`, `_sum` and `_count`; times are in seconds.",
        _table(("metric", "type", "labels", "meaning"), rows),
    )


def configuration_page() -> str:
    """Every key of the configuration."""
    twins = {key: variable for variable, key in ENVIRONMENT.items()}
    rows = [(f"`{key}`", f"`{twins[key]}`", _default(field), text) for key, field, text in _keys(Settings)]
    return _page(
        "Configuration",
        "ssv_pool/settings.py",
        "A YAML file (`--config FILE` or `CONFIG_PATH`), every key with an environment variable as its twin. The "
        "environment wins over the file. A dot stands for a section: `p2p.tcp_port` is `tcp_port` under `p2p:`. Lists "
        "are YAML lists, or one text with `;` between the entries. Relative paths count from the file's folder. An "
        "unknown key or a bad value ends the program with status 2 and one line that names it.",
        "```yaml\nnetwork: hoodi\ndata_dir: data\noperator:\n  private_key_file: encrypted_private_key.json\n"
        "  password_file: password.txt\nbeacon:\n  nodes: [http://127.0.0.1:5052]\nexecution:\n"
        "  nodes: [http://127.0.0.1:8545]\n```",
        _table(("key", "environment", "default", "meaning"), rows),
    )


def reasons_page() -> str:
    """Why duties fail."""
    return _page(
        "Why a duty failed",
        "ssv_pool/protocol/events.py",
        "Each duty ends once, with an outcome and, unless it completed, one reason of this list. A duty that completed "
        "bears one too where it came to nothing afterwards, or came late: `ssv-pool duties` shows it. Both are in the "
        "log line, in the duty journal with a detail in words, and as labels of `ssv_duty_ended_total`.",
        "## Outcomes",
        _table(("outcome", "meaning"), _members(Outcome)),
        "## Reasons",
        _table(("reason", "meaning"), _members(Reason)),
    )


def _metric(metric: MetricWrapperBase) -> tuple[str, ...]:
    (family,) = metric.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = metric._labelnames  # noqa: SLF001 - the library shows them only in samples
    return f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo, str]]:
    texts = _attribute_texts(model)
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, field, texts[name]


def _default(field: FieldInfo) -> str:
    default: Any = field.default
    if default is PydanticUndefined:
        return "required"
    if default is None or default == ():
        return ""
    return f"`{';'.join(default) if isinstance(default, tuple) else default}`"


def _members(kind: type[enum.Enum]) -> list[tuple[str, str]]:
    texts = _attribute_texts(kind)
    return [(f"`{member.value}`", texts[member.name]) for member in kind]


def _attribute_texts(cls: type) -> dict[str, str]:
    """Attribute → the text under it. Raises KeyError later for one without."""
    (definition,) = ast.parse(inspect.getsource(cls)).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    texts = {}
    for statement, following in itertools.pairwise(body):
        target = statement.target if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [None])[0]
        if (
            isinstance(target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            texts[target.id] = re.sub(r"\s+", " ", following.value.value).replace("``", "`").strip()
    return texts


def _page(title: str, source: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", MADE.format(source=source), *parts]) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> int:
    """Write or check all."""
    differing = []
    for name, text in documents().items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            differing.append(name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    for name in differing:
        print(f"docs/{name}: {'differs from the code' if '--check' in sys.argv[1:] else 'written'}")
    return 1 if differing and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
