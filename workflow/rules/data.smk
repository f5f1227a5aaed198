# From raw images to the rows of a long tail. What `exchanged_...` gives is no file: it has a job run again when raw data
# are no longer those that were decoded, which Snakemake cannot know of.


rule store:
    input:
        exchanged_images,
    output:
        images="results/datasets/{image_set}/{part}/images.npy",
        labels="results/datasets/{image_set}/{part}/labels.parquet",
    log:
        "results/logs/store/{image_set}-{part}.log",
    benchmark:
        "results/benchmarks/store/{image_set}-{part}.jsonl"
    conda:
        "../../envs/torch.yaml"
    threads: 4
    resources:
        gpu=0,
        cpus_per_task=4,
        mem_mb=rising(8000),
        runtime=rising(120),
    params:
        spec=store_spec,
    shell:
        "python -m longtail store --spec {params.spec:q} --part {wildcards.part}"
        " --images {output.images} --labels {output.labels} --threads {threads} > {log} 2>&1"


rule fetch_encoder:
    input:
        exchanged_encoder,
    output:
        "results/encoders/{encoder}/config.json",
        "results/encoders/{encoder}/model.safetensors",
        "results/encoders/{encoder}/tokenizer.json",
        "results/encoders/{encoder}/tokenizer_config.json",
    log:
        "results/logs/fetch_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/fetch_encoder/{encoder}.jsonl"
    localrule: True  # the nodes of many clusters reach nothing outside
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(60),
    params:
        options=fetch_options,
    shell:
        f"python -m longtail fetch {{params.options}} --out {RESULTS}/encoders/{{wildcards.encoder}} > {{log}} 2>&1"


rule tokenize:
    input:
        exchanged_texts,
        encoder=tokenizer_files,
    output:
        tokens="results/datasets/{text_set}/{part}/tokens.npz",
        labels="results/datasets/{text_set}/{part}/labels.parquet",
    log:
        "results/logs/tokenize/{text_set}-{part}.log",
    benchmark:
        "results/benchmarks/tokenize/{text_set}-{part}.jsonl"
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(30),
    params:
        spec=texts_spec,
        encoder=encoder_option,
        wordnet=wordnet_option,
    shell:
        "python -m longtail tokenize --spec {params.spec:q} --part {wildcards.part} {params.encoder} {params.wordnet}"
        " --tokens {output.tokens} --labels {output.labels} > {log} 2>&1"


rule split:
    input:
        labels=label_files,
    output:
        "results/datasets/{cut}/{split}.parquet",
    log:
        "results/logs/split/{cut}-{split}.log",
    benchmark:
        "results/benchmarks/split/{cut}-{split}.jsonl"
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        spec=split_spec,
        labels=labels_by_part,
    shell:
        "python -m longtail split --spec {params.spec:q} --split {wildcards.split}"
        " --labels {params.labels} --out {output} > {log} 2>&1"
