# From assignments, or from the embeddings themselves, to metrics. The definitions are inputs: editing one rescores.


rule score_assignment:
    input:
        assignments="results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/assignments/{clusterer}.parquet",
        split="results/datasets/{cut}/{split}.parquet",
        source=sources_of("evaluation", "metrics"),
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/metrics/{clusterer}.parquet",
    log:
        "results/logs/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.log",
    benchmark:
        "results/benchmarks/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        scorer=lambda wildcards: canonical({"name": wildcards.clusterer}),
    shell:
        "python -m longtail score --assignments {input.assignments} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"


rule score_embedding:
    input:
        embeddings="results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/embeddings.parquet",
        split="results/datasets/{cut}/{split}.parquet",
        source=sources_of("evaluation", "analyses", "theory"),
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/metrics/{scorer}.parquet",
    log:
        "results/logs/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{scorer}.log",
    benchmark:
        "results/benchmarks/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{scorer}.jsonl"
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
        "python -m longtail score --embeddings {input.embeddings} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"
