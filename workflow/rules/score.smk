# From assignments, predictions, or the embeddings themselves, to metrics. The definitions are inputs: editing one rescores.


rule score:
    input:
        scored=what_is_scored,
        split="results/datasets/{cut}/{split}.parquet",
        source=definitions_of_metrics,
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/metrics/{readout}/{scorer}.parquet",
    log:
        "results/logs/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{readout}-{scorer}.log",
    benchmark:
        "results/benchmarks/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{readout}-{scorer}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        scorer=scorer_spec,
    shell:
        "python -m longtail score --scored {input.scored} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"
