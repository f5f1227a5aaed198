# From embeddings to clusters, or to the classes that a classifier predicts.


rule cluster:
    input:
        ANY.embeddings("{features}", "{split}"),
    output:
        ANY.assignments("{features}", "{split}", "{clusterer}"),
    log:
        ANY.log("cluster", "{features}", "{split}", "{clusterer}"),
    benchmark:
        ANY.benchmark("cluster", "{features}", "{split}", "{clusterer}")
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
        "python -m longtail job cluster --embeddings {input} --clusterer {params.clusterer:q} --classes {params.classes}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule classify:
    input:
        embeddings=ANY.embeddings("{features}", "{split}"),
        weights=weights_file,
        training=training_features,
        validation=validation_features,
        split=layout.split("{cut}", "{split}"),
    output:
        ANY.predictions("{features}", "{split}", "{classifier}"),
    log:
        ANY.log("classify", "{features}", "{split}", "{classifier}"),
    benchmark:
        ANY.benchmark("classify", "{features}", "{split}", "{classifier}")
    group:
        evaluation_group
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=classify_memory,
        runtime=rising(30),
    params:
        classifier=classifier_spec,
        weights=weights_option,
        training=training_option,
        validation=validation_option,
    shell:
        "python -m longtail job classify --embeddings {input.embeddings} {params.weights} {params.training} {params.validation}"
        " --split {input.split} --classifier {params.classifier:q} --out {output} > {log} 2>&1"


rule project:
    input:
        embeddings=ANY.embeddings("{features}", "{split}"),
        weights=weights_file,
        training=training_features,
        split=layout.split("{cut}", "{split}"),
    output:
        ANY.projection("{features}", "{split}", "{projection}"),
    log:
        ANY.log("project", "{features}", "{split}", "{projection}"),
    benchmark:
        ANY.benchmark("project", "{features}", "{split}", "{projection}")
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(8000),
        runtime=rising(60),
    params:
        projection=projection_spec,
        weights=weights_option,
        training=training_option,
    shell:
        "python -m longtail job project --embeddings {input.embeddings} {params.weights} {params.training}"
        " --split {input.split} --projection {params.projection:q} --out {output} > {log} 2>&1"
