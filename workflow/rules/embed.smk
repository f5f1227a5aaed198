# From a trained phase, or from an untrained control, to one vector per image.


rule embed:
    input:
        checkpoint=PHASE.checkpoint,
        spec=PHASE.spec,
        split=layout.split("{cut}", "{split}"),
        images=image_files,
        encoder=encoder_files,
    output:
        embeddings=PHASE.embeddings("{features}", "{split}"),
        weights=PHASE.weights("{features}", "{split}"),
    log:
        PHASE.log("embed", "{features}", "{split}"),
    benchmark:
        PHASE.benchmark("embed", "{features}", "{split}")
    group:
        evaluation_group
    conda:
        "../../envs/torch.yaml"
    threads: train_threads
    resources:
        gpu=embed_gpus,
        gpu_slots=embed_slots,
        gres=gpu_shard,
        trainings_per_gpu=sharers,
        cpus_per_task=train_threads,
        mem_mb=train_memory,
        runtime=rising(20),
    params:
        images=images_by_part,
        encoder=encoder_option,
    shell:
        "python -m longtail job embed --spec {input.spec} --checkpoint {input.checkpoint} --features {wildcards.features}"
        " --split {input.split} --images {params.images} {params.encoder} --threads {threads} --gpus {resources.gpu}"
        " --trainings-per-gpu {resources.trainings_per_gpu}"
        " --out {output.embeddings} --weights {output.weights} > {log} 2>&1"


# A job of its own on a cluster: with 3.75 million images to decode it asks for other threads and more time than what
# follows from a training otherwise.
rule corruptions:
    input:
        checkpoint=PHASE.checkpoint,
        spec=PHASE.spec,
    output:
        PHASE.corrupted("{features}"),
    log:
        PHASE.log("corruptions", "{features}"),
    benchmark:
        PHASE.benchmark("corruptions", "{features}")
    conda:
        "../../envs/torch.yaml"
    threads: train_threads
    resources:
        gpu=embed_gpus,
        gpu_slots=embed_slots,
        gres=gpu_shard,
        trainings_per_gpu=sharers,
        cpus_per_task=train_threads,
        mem_mb=rising(16000),
        runtime=rising(480),
    params:
        set=corrupted_spec,
    shell:
        "python -m longtail job corruptions --spec {input.spec} --checkpoint {input.checkpoint} --features {wildcards.features}"
        " --set {params.set:q} --threads {threads} --gpus {resources.gpu}"
        " --trainings-per-gpu {resources.trainings_per_gpu} --out {output} > {log} 2>&1"


rule embed_control:
    input:
        split=layout.split("{cut}", "{split}"),
        images=image_files,
        encoder=encoder_files,
    output:
        CONTROL.embeddings("{features}", "{split}"),
    log:
        CONTROL.log("embed", "{features}", "{split}"),
    benchmark:
        CONTROL.benchmark("embed", "{features}", "{split}")
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
        "python -m longtail job embed --control {wildcards.control} --data {params.data:q} --seed {wildcards.seed}"
        " --features {wildcards.features} --split {input.split} --images {params.images} {params.encoder} --out {output} > {log} 2>&1"


# How long a network takes for a batch does not depend on its weights, so nothing is trained for it, and nothing read: `snakemake
# --cores all rescom_table1 --until infer_time` measures alone, and `--config partial=true` shows it. The job has the GPU to itself,
# and as many cores as a training.
rule infer_time:
    input:
        sources_of("embedding", "infer_time"),
    output:
        NETWORK.metrics("{features}", "{split}", "network", "{scorer}"),
    log:
        NETWORK.log("infer_time", "{features}", "{split}", "{scorer}"),
    benchmark:
        NETWORK.benchmark("infer_time", "{features}", "{split}", "{scorer}")
    conda:
        "../../envs/torch.yaml"
    threads: timing_threads
    resources:
        gpu=timing_gpus,
        gpu_slots=timing_slots,
        cpus_per_task=timing_threads,
        mem_mb=rising(16000),
        runtime=rising(20),
    params:
        spec=network_spec,
        scorer=scorer_spec,
    shell:
        "python -m longtail job infer-time --spec {params.spec:q} --features {wildcards.features}"
        " --scorer {params.scorer:q} --threads {threads} --gpus {resources.gpu} --out {output} > {log} 2>&1"
