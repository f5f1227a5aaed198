# From merged metrics to a paper's table, in every format people paste from.


rule table:
    input:
        metrics=f"{VIEW}/metrics/{{paper}}/{{table}}.parquet",
        source=sources_of("reporting", "table", "aggregate", "spread", "grid", "formats", "markup"),
    output:
        multiext(f"{VIEW}/tables/{{paper}}/{{table}}", ".parquet", ".csv", ".md", ".tex"),
        html=report(
            f"{VIEW}/tables/{{paper}}/{{table}}.html",
            caption="../report/table.rst",
            category=paper_title,
            subcategory="Tables",
            labels=table_labels,
        ),
    log:
        f"{VIEW}/logs/table/{{paper}}-{{table}}.log",
    benchmark:
        f"{VIEW}/benchmarks/table/{{paper}}-{{table}}.jsonl"
    localrule: True
    conda:
        "../../envs/tables.yaml"
    resources:
        gpu=0,
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        config=table_config,
        folder=lambda wildcards, output: str(Path(output.html).parent),
    shell:
        "python -m longtail table --paper {wildcards.paper} --table {wildcards.table} --config {params.config:q}"
        " --metrics {input.metrics} --out-dir {params.folder} > {log} 2>&1"
