# One stretch of training. The resumable state is no output, so that Snakemake leaves it to the next attempt.


rule train:
    input:
        split="results/datasets/{cut}/train.parquet",
        images=image_files,
        encoder=encoder_files,
        parent=parent_checkpoint,
    output:
        checkpoint="results/phases/{cut}/{phase}/seed{seed}/checkpoint.pt",
        history="results/phases/{cut}/{phase}/seed{seed}/history.parquet",
        spec="results/phases/{cut}/{phase}/seed{seed}/spec.json",
    log:
        "results/logs/train/{cut}/{phase}-seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{cut}/{phase}-seed{seed}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: train_threads
    resources:
        gpu=train_gpus,
        nodes=1,  # whose GPUs train together
        recompute_activations=0,  # a resource and no parameter: it changes no result, so it makes nothing to be redone
        cpus_per_task=train_threads,
        mem_mb=train_memory,
        runtime=train_minutes,
    params:
        spec=phase_spec,
        images=images_by_part,
        encoder=encoder_option,
        parent=parent_option,
        state=f"{RESULTS}/state/{{cut}}/{{phase}}/seed{{seed}}",
    shell:
        "python -m longtail train --spec {params.spec:q} --split {input.split} --images {params.images}"
        " {params.encoder} {params.parent} --state {params.state} --threads {threads} --gpus {resources.gpu}"
        " --recompute-activations {resources.recompute_activations} --checkpoint {output.checkpoint}"
        " --history {output.history} --spec-out {output.spec} > {log} 2>&1"
