# What Snakemake was called with: its targets, and whether they are only to be looked at. No rules here.
from snakemake.cli import get_argument_parser

from longtail.study import asked


def command_line():
    """What Snakemake was called with, of which it tells a Snakefile nothing; None for a job that it starts itself."""
    if not workflow.is_main_process or "snakemake" not in Path(sys.argv[0]).parts[-2:]:
        return None
    words, targets = sys.argv[1:], []
    if "--" in words:
        words, targets = words[: words.index("--")], words[words.index("--") + 1 :]
    found = get_argument_parser().parse_args(words)
    found.targets = [
        name if os.path.isabs(name) else os.path.relpath(name or ".") for name in [*found.targets, *targets]
    ]
    return found


COMMAND = command_line()
TARGETED = COMMAND.targets if COMMAND else []

# A plan, status or page of targets, or a record, is one of what they stand for: beside it they are names without files, and
# no rule that computes anything is there.
LOOKS = {called(name) for name in ("plan", "status", "page", "record")}
LOOKING = not LOOKS.isdisjoint(TARGETED)
LOOKED_AT = [name for name in TARGETED if LOOKING and name not in LOOKS]
NAMES = {called(name): name for name in [*TARGETS, "all"]}

try:
    OVERVIEW = asked.of_overview(STUDY, [NAMES.get(name, name) for name in LOOKED_AT])
except LongtailError as error:
    refuse(error)


def check_targets():
    """Refuse a target that there is not, before anything is done for the others. To be called after all rules."""
    if IMPORTED or LOOKING or COMMAND is None:
        return
    rules = {rule.name: rule for rule in workflow.rules}
    names = [name for name in rules if not rules[name].has_wildcards()]
    made = lambda path: any(rule.is_producer(path) for rule in rules.values())
    others = {*COMMAND.forcerun, *COMMAND.until, *COMMAND.omit_from, *COMMAND.prioritize}
    try:
        for target in TARGETED:
            asked.check(STUDY, target, names, made)
        for target in others:
            asked.check(STUDY, target, rules, made)
    except LongtailError as error:
        refuse(error)
    taken = sorted(others & {*TARGETS, "plan", "status", "page", "record", "recorded", "discrepancies"})
    if taken and not TARGETED:
        refuse(
            f"An option has taken the target {taken[0]!r} for its own. Write targets first: snakemake {taken[0]} ..."
        )
