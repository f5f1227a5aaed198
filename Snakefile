from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


# A GPU is a local matter: the limit of one job at a time (rules/preflight.smk) must not throttle a cluster's queue.
resource_scopes:
    gpu="local",
    gpu_slots="local",


include: "workflow/rules/common.smk"
include: "workflow/rules/command_line.smk"
include: "workflow/rules/preflight.smk"
include: "workflow/rules/hooks.smk"


rule all:
    default_target: True
    input:
        [] if LOOKING else [path for target in STUDY.config.targets for path in TARGETS[target]],
    localrule: True


include: "workflow/rules/targets.smk"
include: "workflow/rules/overview.smk"


# Partial tables show what there is: without these rules nothing can be computed on their behalf, whatever has changed. A
# plan or status computes nothing of what it speaks of either.
if not (STUDY.config.partial or LOOKING):

    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/embed.smk"
    include: "workflow/rules/cluster.smk"
    include: "workflow/rules/score.smk"


if not LOOKING:

    include: "workflow/rules/merge.smk"
    include: "workflow/rules/tables.smk"
    include: "workflow/rules/figures.smk"


check_targets()
