# From a trained phase, or from an untrained control, to one vector per image.


rule embed:
    input:
        checkpoint="results/phases/{cut}/{phase}/seed{seed}/checkpoint.pt",
        spec="results/phases/{cut}/{phase}/seed{seed}/spec.json",
        split="results/datasets/{cut}/{split}.parquet",
        images=image_files,
        encoder=encoder_files,
    output:
        embeddings="results/phases/{cut}/{phase}/seed{seed}/{features}/{split}/embeddings.parquet",
        weights="results/phases/{cut}/{phase}/seed{seed}/{features}/{split}/weights.parquet",
    log:
        "results/logs/embed/{cut}/{phase}-seed{seed}-{features}-{split}.log",
    benchmark:
        "results/benchmarks/embed/{cut}/{phase}-seed{seed}-{features}-{split}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/torch.yaml"
    threads: train_threads
    resources:
        gpu=embed_gpus,
        cpus_per_task=train_threads,
        mem_mb=train_memory,
        runtime=rising(20),
    params:
        images=images_by_part,
        encoder=encoder_option,
    shell:
        "python -m longtail embed --spec {input.spec} --checkpoint {input.checkpoint} --features {wildcards.features}"
        " --split {input.split} --images {params.images} {params.encoder} --threads {threads} --gpus {resources.gpu}"
        " --out {output.embeddings} --weights {output.weights} > {log} 2>&1"


rule embed_control:
    input:
        split="results/datasets/{cut}/{split}.parquet",
        images=image_files,
        encoder=encoder_files,
    output:
        "results/controls/{cut}/{control}/seed{seed}/{features}/{split}/embeddings.parquet",
    log:
        "results/logs/embed/{cut}/{control}-seed{seed}-{features}-{split}.log",
    benchmark:
        "results/benchmarks/embed/{cut}/{control}-seed{seed}-{features}-{split}.jsonl"
    group:
        evaluation_group
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(10),
    params:
        data=data_spec,
        images=images_by_part,
        encoder=encoder_option,
    shell:
        "python -m longtail embed --control {wildcards.control} --data {params.data:q} --seed {wildcards.seed}"
        " --features {wildcards.features} --split {input.split} --images {params.images} {params.encoder} --out {output} > {log} 2>&1"
