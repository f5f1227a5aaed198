# From assignments, or from the embeddings themselves, to metrics. The definitions are inputs: editing one rescores.


rule score_assignment:
    input:
        assignments="results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/assignments/{clusterer}.parquet",
        split="results/datasets/{cut}/{split}.parquet",
        source=workflow.source_path("../longtail/evaluation/metrics.py"),
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/metrics/{clusterer}.parquet",
    log:
        "results/logs/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.log",
    benchmark:
        "results/benchmarks/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.jsonl"
    conda:
        "../../envs/tables.yaml"
    params:
        scorer=lambda wildcards: canonical({"name": wildcards.clusterer}),
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    group:
        "evaluate"
    shell:
        "python -m longtail score --assignments {input.assignments} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"


rule score_embedding:
    input:
        embeddings="results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/embeddings.parquet",
        split="results/datasets/{cut}/{split}.parquet",
        source=workflow.source_path("../longtail/evaluation/analyses.py"),
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/metrics/{scorer}.parquet",
    log:
        "results/logs/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{scorer}.log",
    benchmark:
        "results/benchmarks/score/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{scorer}.jsonl"
    conda:
        "../../envs/torch.yaml"
    params:
        scorer=scorer_spec,
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    group:
        "evaluate"
    shell:
        "python -m longtail score --embeddings {input.embeddings} --split {input.split}"
        " --scorer {params.scorer:q} --out {output} > {log} 2>&1"
