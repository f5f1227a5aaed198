# All cells of one table or figure in one file; or one cell asked for directly. The command knows its inputs from the
# study: ten thousand paths do not fit on a command line.


rule merge:
    input:
        artefact_measurements,
    output:
        layout.merged(NAME, "{paper}", "{artefact}"),
    log:
        layout.log("merge", "{paper}-{artefact}", NAME),
    benchmark:
        layout.benchmark("merge", "{paper}-{artefact}", NAME)
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=artefact_config,
        results=results_folder,
    shell:
        "python -m longtail job merge --config {params.config:q} --artefact {wildcards.paper} {wildcards.artefact}"
        " --results {params.results} --out {output} > {log} 2>&1"


rule cell:
    input:
        cell_measurements,
    output:
        layout.cell(NAME, "{method}", "{cut}", "{seed}"),
    log:
        layout.log("cell", "{method}-{cut}-seed{seed}", NAME),
    benchmark:
        layout.benchmark("cell", "{method}-{cut}-seed{seed}", NAME)
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        config=whole_config,
        results=results_folder,
    shell:
        "python -m longtail job merge --config {params.config:q} --cell {wildcards.method} {wildcards.cut} {wildcards.seed}"
        " --results {params.results} --out {output} > {log} 2>&1"
