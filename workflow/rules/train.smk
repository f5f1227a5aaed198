# One stretch of training. The resumable state is no output, so that Snakemake leaves it to the next attempt.


rule train:
    input:
        split=layout.split("{cut}", "train"),
        images=image_files,
        encoder=pretrained_files,
        parent=parent_checkpoint,
    output:
        checkpoint=PHASE.checkpoint,
        history=PHASE.history,
        spec=PHASE.spec,
    log:
        PHASE.log("train"),
    benchmark:
        PHASE.benchmark("train")
    conda:
        "../../envs/torch.yaml"
    threads: train_threads
    resources:
        gpu=train_gpus,
        gpu_slots=train_slots,  # of trainings_per_gpu on each GPU, to be counted by the scheduler
        gres=gpu_shard,
        nodes=1,  # whose GPUs train together
        recompute_activations=0,  # a resource and no parameter: it changes no result, so it makes nothing to be redone
        trainings_per_gpu=sharers,  # likewise
        cpus_per_task=train_threads,
        mem_mb=train_memory,
        runtime=train_minutes,
    params:
        spec=phase_spec,
        images=images_by_part,
        encoder=pretrained_option,
        parent=parent_option,
        state=moved(PHASE.state),
    shell:
        "python -m longtail job train --spec {params.spec:q} --split {input.split} --images {params.images}"
        " {params.encoder} {params.parent} --state {params.state} --threads {threads} --gpus {resources.gpu}"
        " --trainings-per-gpu {resources.trainings_per_gpu}"
        " --recompute-activations {resources.recompute_activations} --checkpoint {output.checkpoint}"
        " --history {output.history} --spec-out {output.spec} > {log} 2>&1"
