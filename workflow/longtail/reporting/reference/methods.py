"""The page of all methods, for readers, out of the catalogue alone."""

from __future__ import annotations

from collections.abc import Iterator

from longtail.reporting.markup import escape_markdown, markdown_table
from longtail.reporting.reference.places import Places, appearances, listed
from longtail.study.catalog import Catalog, Method

HEAD = """# Methods

What each method is, where it comes from, what it minimises, where it stands here, and which tables and figures show it.
Steps of a recipe are joined by →; settings, with their origins, stand in the file of the family under
[`workflow/catalog/methods`](../workflow/catalog/methods), readouts in
[`readouts.yaml`](../workflow/catalog/readouts.yaml). Written by `make docs` from the catalogue; a test holds it up to
date.

In the formulas s are logits, y is the true class, n_k the number of training images of class k and π_k its share, z an
embedding of length one, τ a temperature, p a softmax, w weights of classes, CE_w the weighted mean of cross-entropies,
KL the Kullback-Leibler divergence, ℓ_NT the NT-Xent loss of SimCLR, and Q a queue of keys.
"""
COLUMNS = ("method", "publication", "minimised", "code here", "official code", "shown in")


def page(catalog: Catalog) -> str:
    """The page in Markdown, families in the order of their titles.

    Args:
        catalog: what there is. Methods that tables name and nobody can build stand at the end, with the reason.
    """
    shown = appearances(catalog, "method")
    families: dict[str, list[Method]] = {}
    for method in catalog.methods.values():
        families.setdefault(method.family, []).append(method)
    parts = [HEAD]
    for family in sorted(families, key=lambda name: catalog.families[name].casefold()):
        file = f"[`{family}.yaml`](../workflow/catalog/methods/{family}.yaml)"
        table = markdown_table(COLUMNS, _lines(catalog, families[family], shown))
        parts.append(f"## {catalog.families[family]}\n\nSettings: {file}.\n\n{table}")
    unavailable = _unavailable(catalog)
    if unavailable:
        parts.append("## Not available everywhere\n\n" + markdown_table(("method", "not on", "why"), unavailable))
    planned = [(one.title, one.reason, listed(shown.get(name, {}))) for name, one in catalog.planned["methods"].items()]
    if planned:
        parts.append("## Not implemented\n\n" + markdown_table(("method", "why", "named in"), planned))
    return "\n".join(parts)


def _lines(catalog: Catalog, methods: list[Method], shown: dict[str, Places]) -> Iterator[tuple[str, ...]]:
    for method in methods:
        objectives = [catalog.objectives[step["objective"]] for step in method.recipe]
        losses = [formula(one.loss) if one.loss else one.title for one in objectives]
        everywhere = [catalog.objectives[step["objective"]] for step in method.steps]
        places = dict.fromkeys(one.implementation.partition(":")[0] for one in everywhere)
        official = method.source.get("official", "")
        title = f"{escape_markdown(method.title)}<br>`{method.name}`"
        if method.confidence == "low":
            title += f"<br>low confidence: {escape_markdown(method.note)}"
        yield (
            title,
            escape_markdown(method.source.get("paper", "")),
            " → ".join(dict.fromkeys(losses)) or "nothing",
            "<br>".join(_file(place) for place in places),
            f"[{official}](https://github.com/{official})" if official else "",
            listed(shown.get(method.name, {})),
        )


def _unavailable(catalog: Catalog) -> list[tuple[str, ...]]:
    """Methods of which nobody says how to train them on some datasets: titles, datasets and the reason they share."""
    titles = {name: dataset.title for dataset in catalog.datasets.values() for name in reversed(dataset.names)}
    found: dict[tuple[str, str], list[str]] = {}
    for method in catalog.methods.values():
        for dataset, reason in method.unavailable.items():
            found.setdefault((reason, method.title), []).append(titles[dataset])
    return [(escape_markdown(title), ", ".join(on), escape_markdown(why)) for (why, title), on in found.items()]


def formula(loss: str) -> str:
    """Mathematics in a cell of a table, where a bar would end the cell, be it part of a double one."""
    text = loss.replace(r"\|", r"\Vert ").replace("|", r"\|")
    return f"${text}$"


def _file(module: str) -> str:
    path = f"workflow/{module.replace('.', '/')}.py"
    return f"[`{'/'.join(module.split('.')[-2:])}.py`](../{path})"
