# From merged metrics to a paper's figure, with the numbers it was drawn from.


rule figure:
    input:
        metrics=f"{VIEW}/metrics/{{paper}}/{{figure}}.parquet",
        source=workflow.source_path("../longtail/reporting/figure.py"),
    output:
        multiext(f"{VIEW}/figures/{{paper}}/{{figure}}", ".parquet", ".pdf"),
        png=report(
            f"{VIEW}/figures/{{paper}}/{{figure}}.png",
            caption="../report/figure.rst",
            category=paper_title,
            subcategory="Figures",
            labels=figure_labels,
        ),
    log:
        f"{VIEW}/logs/figure/{{paper}}-{{figure}}.log",
    benchmark:
        f"{VIEW}/benchmarks/figure/{{paper}}-{{figure}}.jsonl"
    conda:
        "../../envs/tables.yaml"
    params:
        config=figure_config,
        folder=lambda wildcards, output: str(Path(output.png).parent),
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    localrule: True
    shell:
        "python -m longtail figure --paper {wildcards.paper} --figure {wildcards.figure} --config {params.config:q}"
        " --metrics {input.metrics} --out-dir {params.folder} > {log} 2>&1"
