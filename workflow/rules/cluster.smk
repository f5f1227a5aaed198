# From embeddings to clusters, or to the classes that a classifier predicts.


rule cluster:
    input:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/embeddings.parquet",
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/assignments/{clusterer}.parquet",
    log:
        "results/logs/cluster/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.log",
    benchmark:
        "results/benchmarks/cluster/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{clusterer}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    threads: train_threads
    resources:
        gpu=0,
        cpus_per_task=train_threads,
        mem_mb=train_memory,
        runtime=rising(60),
    params:
        clusterer=clusterer_spec,
        classes=number_of_classes,
    shell:
        "python -m longtail cluster --embeddings {input} --clusterer {params.clusterer:q} --classes {params.classes}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule classify:
    input:
        embeddings="results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/embeddings.parquet",
        weights=weights_file,
        training=training_features,
        split="results/datasets/{cut}/{split}.parquet",
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/predictions/{classifier}.parquet",
    log:
        "results/logs/classify/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{classifier}.log",
    benchmark:
        "results/benchmarks/classify/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{classifier}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        classifier=classifier_spec,
        weights=lambda wildcards, input: f"--weights {input.weights}" if input.weights else "",
        training=lambda wildcards, input: f"--training {input.training}" if input.training else "",
    shell:
        "python -m longtail classify --embeddings {input.embeddings} {params.weights} {params.training}"
        " --split {input.split} --classifier {params.classifier:q} --out {output} > {log} 2>&1"


rule project:
    input:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/embeddings.parquet",
    output:
        "results/{kind}/{cut}/{run}/seed{seed}/{features}/{split}/projections/{projection}.parquet",
    log:
        "results/logs/project/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{projection}.log",
    benchmark:
        "results/benchmarks/project/{cut}/{kind}-{run}-seed{seed}-{features}-{split}-{projection}.jsonl"
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(8000),
        runtime=rising(60),
    params:
        projection=projection_spec,
    shell:
        "python -m longtail project --embeddings {input} --projection {params.projection:q} --out {output} > {log} 2>&1"
