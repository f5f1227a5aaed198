# From raw images to the rows of a long tail. What `exchanged_...` gives is no file: it has a job run again when raw data
# are no longer those that were decoded, which Snakemake cannot know of.


rule store:
    input:
        exchanged_images,
    output:
        images=layout.images("{image_set}", "{part}"),
        labels=layout.labels("{image_set}", "{part}"),
    log:
        layout.log("store", "{image_set}-{part}"),
    benchmark:
        layout.benchmark("store", "{image_set}-{part}")
    conda:
        "../../envs/torch.yaml"
    threads: DECODING_THREADS
    resources:
        gpu=0,
        cpus_per_task=DECODING_THREADS,
        mem_mb=rising(8000),
        runtime=rising(120),
    params:
        spec=store_spec,
    shell:
        "python -m longtail job store --spec {params.spec:q} --part {wildcards.part}"
        " --images {output.images} --labels {output.labels} --threads {threads} > {log} 2>&1"


rule index:
    input:
        exchanged_files,
    output:
        files=layout.index("{streamed_set}", "{part}"),
        encoded=layout.encoded("{streamed_set}", "{part}"),
        labels=layout.labels("{streamed_set}", "{part}"),
    log:
        layout.log("index", "{streamed_set}-{part}"),
    benchmark:
        layout.benchmark("index", "{streamed_set}-{part}")
    conda:
        "../../envs/torch.yaml"
    threads: DECODING_THREADS
    resources:
        gpu=0,
        cpus_per_task=DECODING_THREADS,
        mem_mb=rising(8000),
        runtime=rising(240),
    params:
        spec=index_spec,
    shell:
        "python -m longtail job index --spec {params.spec:q} --part {wildcards.part} --files {output.files}"
        " --encoded {output.encoded} --labels {output.labels} --threads {threads} > {log} 2>&1"


rule fetch_encoder:
    input:
        exchanged_encoder,
    output:
        layout.files_in("{encoder}"),
    log:
        layout.log("fetch_encoder", "{encoder}"),
    benchmark:
        layout.benchmark("fetch_encoder", "{encoder}")
    localrule: True  # the nodes of many clusters reach nothing outside
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=0,
        mem_mb=rising(4000),
        runtime=rising(60),
    params:
        options=fetch_options,
        folder=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "python -m longtail job fetch {params.options} --out {params.folder} > {log} 2>&1"


rule fetch_weights:
    output:
        layout.image_weights("{published}"),
    log:
        layout.log("fetch_weights", "{published}"),
    benchmark:
        layout.benchmark("fetch_weights", "{published}")
    localrule: True  # as above
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(60),
    params:
        options=weights_options,
    shell:
        "python -m longtail job weights {params.options} --out {output} > {log} 2>&1"


rule tokenize:
    input:
        exchanged_texts,
        encoder=tokenizer_files,
    output:
        tokens=layout.texts("{text_set}", "{part}"),
        labels=layout.labels("{text_set}", "{part}"),
    log:
        layout.log("tokenize", "{text_set}-{part}"),
    benchmark:
        layout.benchmark("tokenize", "{text_set}-{part}")
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
        "python -m longtail job tokenize --spec {params.spec:q} --part {wildcards.part} {params.encoder} {params.wordnet}"
        " --tokens {output.tokens} --labels {output.labels} > {log} 2>&1"


rule split:
    input:
        labels=label_files,
    output:
        layout.split("{cut}", "{split}"),
    log:
        layout.log("split", "{cut}-{split}"),
    benchmark:
        layout.benchmark("split", "{cut}-{split}")
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
        "python -m longtail job split --spec {params.spec:q} --split {wildcards.split}"
        " --labels {params.labels} --out {output} > {log} 2>&1"
