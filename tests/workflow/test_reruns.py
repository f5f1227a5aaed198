"""What a change of the workflow's own files makes to be done again."""

from __future__ import annotations

from .said import would_run

CELL = "results/cells/pixels/digits-ir10/seed0.parquet"


def test_how_rules_call_their_commands_redoes_nothing_and_what_defines_a_metric_its_scores(checkout):
    checkout.succeed(CELL)
    rules = checkout.folder / "workflow/rules"
    for name in ("data", "embed", "cluster", "score", "merge"):
        text = (rules / f"{name}.smk").read_text()
        assert "python -m longtail job " in text
        (rules / f"{name}.smk").write_text(text.replace("python -m longtail job ", "python -m longtail  job "))
    assert "Nothing to be done" in checkout.succeed(CELL, "--dry-run")
    with (checkout.folder / "workflow/longtail/evaluation/metrics.py").open("a") as definition:
        definition.write("# another definition\n")
    assert would_run(checkout.succeed(CELL, "--dry-run")) == {"score": 1, "cell": 1}
