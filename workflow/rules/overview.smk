# What there is to do, and how far it is. Without inputs and outputs for Snakemake: they run whenever they are asked for,
# trigger nothing, and write `plan` and `status` (.md, .parquet) to the folder of the view beside what they print.


rule plan:
    log:
        f"{VIEW}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=canonical(config),
        out=layout.plan(STUDY.config.view),
    shell:
        "python -m longtail plan --config {params.config:q} --out {params.out} 2> {log}"


rule status:
    log:
        f"{VIEW}/logs/status.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=canonical(config),
        out=layout.status(STUDY.config.view),
    shell:
        "python -m longtail status --config {params.config:q} --out {params.out} 2> {log}"
