# From assignments, predictions, or the embeddings themselves, to metrics. The definitions are inputs: editing one rescores.


rule score:
    input:
        scored=what_is_scored,
        split=layout.split("{cut}", "{split}"),
        source=definitions_of_metrics,
    output:
        ANY.metrics("{features}", "{split}", "{readout}", "{scorer}"),
    log:
        ANY.log("score", "{features}", "{split}", "{readout}", "{scorer}"),
    benchmark:
        ANY.benchmark("score", "{features}", "{split}", "{readout}", "{scorer}")
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=scoring(2000, of_embeddings=4000),
        runtime=scoring(10, of_embeddings=30),
    params:
        scorer=scorer_spec,
    shell:
        "python -m longtail job score --scored {input.scored} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"
