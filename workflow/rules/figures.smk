# From merged metrics to a paper's figure, with the numbers it was drawn from.


rule figure:
    input:
        metrics=f"{VIEW}/metrics/{{paper}}/{{figure}}.parquet",
        source=sorted(map(str, Path(ROOT, "longtail/reporting/figures").glob("*.py"))),
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
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=figure_config,
        folder=lambda wildcards, output: str(Path(output.png).parent),
    shell:
        "python -m longtail figure --paper {wildcards.paper} --figure {wildcards.figure} --config {params.config:q}"
        " --metrics {input.metrics} --out-dir {params.folder} > {log} 2>&1"
